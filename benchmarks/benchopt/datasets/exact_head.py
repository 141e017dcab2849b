"""Patches of 15 mm seen by the head that is believed."""

from __future__ import annotations

from typing import Any

from benchmark_utils.recordings import on_the_template
from benchopt import BaseDataset

from majorant.bench.everyday_set import Cell


class Dataset(BaseDataset):
    """Patches of 15 mm seen by the head that is believed."""

    name = "exact-head"
    parameters = {"count": [1], "level_db": [10], "cap": ["64"], "n": [10], "seed": [2027]}
    test_parameters = {"n": [1], "cap": ["32"]}
    requirements = ("pip::majorant",)

    def get_data(self) -> dict[str, Any]:
        """Recordings, forward, judge."""
        cell = Cell("15 mm", self.count, "exact", self.cap, self.level_db)
        return on_the_template(cell, self.n, self.seed)
