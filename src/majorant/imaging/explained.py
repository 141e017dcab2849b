"""What an estimate explains of the data: potentials that its map would give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.head.model import as_tensor
from majorant.imager.imager import SourceImager
from majorant.problem import Solution
from majorant.recording.rank import projection

__all__ = ["explained_by", "predict"]


def predict(
    imager: SourceImager, solution: Solution, data: NDArray[np.float64], account: Account
) -> NDArray[np.float64]:
    """Potentials that the map would give, V, under the projectors of the data.

    A statistic has no unit of current: its map is taken for currents at the one scale, for the
    whole window, at which it explains the data best.
    """
    currents = as_tensor(solution.estimate[0].numpy())
    potentials = projection(imager.info_) @ (imager.leadfield_.gain @ currents).numpy()
    if solution.unit == "Am":
        return potentials
    power = float((potentials**2).sum())
    account.note(
        f"{imager.spec_.title} is a statistic, not a current: what it explains of the data is what "
        "its map explains as currents, at the one scale that fits the window best."
    )
    return potentials * (float((potentials * data).sum()) / power if power > 0 else 0.0)


def explained_by(data: NDArray[np.float64], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the variance explained at every time, shape (n_times,), 0 to 1."""
    power = (data**2).sum(axis=0)
    left = ((data - predicted) ** 2).sum(axis=0)
    share = 1.0 - left / np.where(power > 0, power, 1.0)
    return np.clip(np.where(power > 0, share, 0.0), 0.0, 1.0)
