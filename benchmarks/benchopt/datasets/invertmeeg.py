"""The four published sets of invertmeeg: focal, several, extended and noisy sources."""

from __future__ import annotations

from typing import Any

from benchmark_utils.recordings import of_invertmeeg
from benchopt import BaseDataset

from majorant.simulate.invertmeeg import RECIPES


class Dataset(BaseDataset):
    """32 electrodes, 324 sources, made and inverted on one head."""

    name = "invertmeeg"
    parameters = {"recipe": list(RECIPES), "n": [50], "seed": [42]}
    test_parameters = {"recipe": ["focal"], "n": [1]}
    requirements = ("pip::majorant",)

    def get_data(self) -> dict[str, Any]:
        """Recordings, forward, judge."""
        return of_invertmeeg(self.recipe, self.n, self.seed)
