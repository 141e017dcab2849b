"""What people record: sources of any size, another person's head."""

from __future__ import annotations

from typing import Any

from benchmark_utils.recordings import on_the_template
from benchopt import BaseDataset

from majorant.bench.everyday_set import SIZES, Cell


class Dataset(BaseDataset):
    """Cells of `majorant bench everyday` on far heads."""

    name = "everyday"
    parameters = {
        "size": list(SIZES),
        "count": [1, 3],
        "level_db": [10],
        "cap": ["64"],
        "n": [10],
        "seed": [2027],
    }
    test_parameters = {"size": ["15 mm"], "count": [1], "n": [1], "cap": ["32"]}
    requirements = ("pip::majorant",)

    def get_data(self) -> dict[str, Any]:
        """Recordings, forward, judge."""
        cell = Cell(self.size, self.count, "far", self.cap, self.level_db)
        return on_the_template(cell, self.n, self.seed)
