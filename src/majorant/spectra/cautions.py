"""What may mislead in a map of a band's power: plain sentences, the gravest first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from majorant.findings.evidence import CautionSettings
from majorant.recording.faults import SATURATED
from majorant.recording.prepare import Prepared
from majorant.recording.scalp import coverage
from majorant.spectra.cross import in_band

__all__ = ["band_cautions", "rise_of"]

FEW_TRIALS = 20
"""Trials below which a spectrum scatters by more than a fifth (1 / sqrt(n))."""
LEAST_RISE = 1.15
"""Power of a band over that of the straight line through its surroundings; below, no peak."""
LINES = (50.0, 60.0)
"""Hz: mains."""


def band_cautions(
    frequencies: NDArray[np.float64],
    spectrum: NDArray[np.float64],
    band: tuple[float, float],
    n_trials: int,
    prepared: Prepared,
) -> tuple[str, ...]:
    """Run every check; the sentences of those that found something.

    Parameters
    ----------
    frequencies : array, shape (n_frequencies,)
        Hz.
    spectrum : array, shape (n_channels, n_frequencies)
        V^2/Hz.
    band : (float, float)
        Hz.
    n_trials : int
    prepared : Prepared
    """
    known = CautionSettings()
    found = [said for said in prepared.decisions if said.startswith(SATURATED)]
    if n_trials < FEW_TRIALS:
        found.append(
            f"Only {n_trials} trials: power scatters by about {100 / np.sqrt(n_trials):.0f} % by "
            "chance alone; record for longer."
        )
    rise = rise_of(frequencies, spectrum, band)
    if rise is not None and rise < LEAST_RISE:
        found.append(
            f"At the electrodes nothing rises above the background between {band[0]:g} and "
            f"{band[1]:g} Hz: what is mapped is the slope of the spectrum there, which sources, "
            "muscles and the amplifier all share."
        )
    if any(band[0] - 2 < line < band[1] + 2 for line in LINES):
        found.append("The mains (50 or 60 Hz) lies in the band or beside it.")
    if band[0] < 4:
        found.append("Below 4 Hz blinks and eye movements are as strong as the brain: check them.")
    if band[1] > 20:
        found.append(
            "Above 20 Hz muscles of scalp, face and neck are often stronger than the brain, and "
            "look like sources at the edge of the cortex."
        )
    count = len(prepared.evoked.ch_names)
    if count < known.few_electrodes:
        how = "a lobe, hardly more" if count < 20 else "a few centimetres at best"
        found.append(f"Only {count} electrodes: places are good to {how}; 32 or more are advised.")
    share = coverage(prepared.evoked.info)
    if share < known.poor_coverage:
        found.append(
            f"The electrodes cover {100 * share:.0f} % of the upper head: power below the rest of "
            "it cannot be placed."
        )
    return tuple(found)


def rise_of(
    frequencies: NDArray[np.float64], spectrum: NDArray[np.float64], band: tuple[float, float]
) -> float | None:
    """Power of a band over what its surroundings make one expect; None where there are few.

    The median over electrodes of the spectrum is taken, and a straight line drawn through it in
    logarithms of both axes, from a third of the lower edge to three times the upper one, without
    the band and an eighth beside it. The rise is the largest within the band.
    """
    low, high = band
    middle = np.median(spectrum, axis=0)
    near = (frequencies >= low / 3) & (frequencies <= 3 * high)
    inside = in_band(frequencies, band)
    around = near & ~in_band(frequencies, (low * 7 / 8, high * 9 / 8))
    if around.sum() < 6 or not inside.any() or (middle[around | inside] <= 0).any():
        return None
    slope, level = np.polyfit(np.log(frequencies[around]), np.log(middle[around]), 1)
    expected = np.exp(level + slope * np.log(frequencies[inside]))
    return float((middle[inside] / expected).max())
