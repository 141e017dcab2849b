"""How large regions will be, by lobe: from the simulations that regions are calibrated on.

They are those of ``majorant image --region`` (:mod:`majorant.findings.regions`): the solver as it
images recordings, one or two sources of any size, every trial on another head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from majorant.atlas.gyri import lobes_at
from majorant.audit.cap import Cap
from majorant.findings.regions.calibrate import calibrated
from majorant.findings.regions.find import expected_areas
from majorant.findings.regions.simulated import STEP_DB, Simulated, Window
from majorant.imager.imager import SourceImager
from majorant.randomness import takes_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Expected", "expected_regions"]

N_TIMES, SFREQ = 50, 100.0
"""Half a second."""
FEWEST = 8
"""Trials below which nothing is said of a lobe."""


@dataclass(frozen=True)
class Expected:
    """Regions of the strongest peak whose source lies in a place.

    Attributes
    ----------
    place : str
        A lobe, or "all".
    trials : int
    area_cm2 : float
        Median.
    """

    place: str
    trials: int
    area_cm2: float


@takes_rng
def expected_regions(
    solver: str,
    cap: Cap,
    level_db: float,
    coverage: float,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Expected, ...]:
    """Simulate for a cap on the template and say how large regions are, the smallest first.

    Parameters
    ----------
    solver : str
    cap : Cap
        On the template.
    level_db : float
    coverage : float
        Probability of the regions.
    seed : int
    progress : callable, optional
        Called with (done, total).

    Returns
    -------
    tuple of Expected
        "all" first.
    """
    imager = SourceImager(solver).fit(_info(cap))
    own = Simulated.of(imager, 1)
    window = Window(N_TIMES, 0, SFREQ, STEP_DB * round(level_db / STEP_DB))
    found = calibrated(imager, window, seed=seed, progress=progress, simulated=own)
    areas = expected_areas(found, coverage)
    places = own.cortex.places.mni[found.lead_place]
    names = np.array(lobes_at(places))
    return (_expected("all", areas), *by_place(names, areas))


def by_place(names: NDArray[np.str_], areas: NDArray[np.float64]) -> tuple[Expected, ...]:
    """Medians by name, the smallest first; places of few trials are left out."""
    found = [_expected(str(name), areas[names == name]) for name in np.unique(names)]
    return tuple(sorted((e for e in found if e.trials >= FEWEST), key=lambda e: e.area_cm2))


def _expected(place: str, areas: NDArray[np.float64]) -> Expected:
    return Expected(place, len(areas), float(np.median(areas)))


def _info(cap: Cap) -> Any:
    """Channels of the cap where they sit on the template."""
    import mne

    places = dict(zip(cap.chosen, cap.positions, strict=False))
    info = mne.create_info(list(cap.chosen), SFREQ, "eeg", verbose="error")
    montage = mne.channels.make_dig_montage(places, coord_frame="head")
    return info.set_montage(montage, verbose="error")
