"""How strong a peak is as one dipole: comparable between solvers, whatever their maps are in.

The value of a map means another thing in every solver: the current of one location of thousands,
that of every vertex of a region, a statistic. What can be compared is the dipole that the data ask
for at the place: the free (or, where the lead field is fixed, the held) moment that fits the
whitened data at the time of the peak best, together with the stronger peaks there are then, by
least squares (the equivalent dipole of Scherg & von Cramon, Electroencephalogr Clin Neurophysiol
62, 1985, at places that are given). For a patch of cortex it is the sum over its extent, less what
opposite orientations cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from majorant.findings.facts import Peak
from majorant.head.registration import MEMBERS

__all__ = ["meaning", "with_moments"]

SAME_MM, SAME_S = 30.0, 0.010
"""Peaks nearer than this in space are one dipole; those nearer in time are fitted together."""

STATISTICS = {
    "dSPM": "the current in standard deviations of what noise alone gives there (no unit)",
    "sLORETA": "the current in standard deviations of what noise and sources everywhere give there "
    "(no unit)",
    "LCMV": "the beamformer’s output in standard deviations of what noise alone gives there (no "
    "unit)",
}
"""What the value of a statistic is."""

SMALLEST = 0.05
"""Singular values below this share of the largest are left out of the fit."""


def meaning(unit: str, regions: bool) -> str:
    """What the value of a map is the value of, as a clause.

    Parameters
    ----------
    unit : str
        ``"Am"``, or the name of a statistic.
    regions : bool
    """
    if unit != "Am":
        return STATISTICS.get(unit, "a statistic without a unit of current")
    if regions:
        return "the current at each of the about 20 vertices of a region"
    return "the current at one location, of which a source takes many"


def with_moments(
    peaks: Sequence[Peak],
    times: NDArray[np.float64],
    white: NDArray[np.float64],
    gain: NDArray[np.float64],
    mni: NDArray[np.float64],
    *,
    regions: bool,
) -> tuple[Peak, ...]:
    """Add the moment of its dipole to every peak.

    Parameters
    ----------
    peaks : sequence of Peak
        The strongest first.
    times : array, shape (n_times,)
        s.
    white : array, shape (rank, n_times)
        Whitened data.
    gain : array, shape (rank, n_columns)
        Whitened lead field, per A m.
    mni : array, shape (n_locations, 3)
        mm.
    regions : bool
        Whether columns are sums over the vertices of a region.
    """
    return tuple(
        replace(peak, moment=_moment(peak, peaks[:rank], times, white, gain, mni, regions))
        for rank, peak in enumerate(peaks)
    )


def _moment(
    peak: Peak,
    stronger: Sequence[Peak],
    times: NDArray[np.float64],
    white: NDArray[np.float64],
    gain: NDArray[np.float64],
    mni: NDArray[np.float64],
    regions: bool,
) -> float:
    n_orient = gain.shape[1] // len(mni)
    chosen = [peak.location]
    for other in stronger:
        apart = np.linalg.norm(mni[chosen] - mni[other.location], axis=1).min()
        if apart >= SAME_MM and abs(other.time - peak.time) <= SAME_S:
            chosen.append(other.location)
    columns = (n_orient * np.array(chosen)[:, None] + np.arange(n_orient)).ravel()
    then = white[:, int(np.abs(times - peak.time).argmin())]
    fitted = np.linalg.lstsq(gain[:, columns], then, rcond=SMALLEST)[0]
    size = float(np.linalg.norm(fitted[:n_orient]))
    return MEMBERS * size if regions else size
