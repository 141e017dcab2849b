"""What an audit is asked for: one frozen record, one place for every default."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from majorant.errors import MajorantError, nearest
from majorant.imager.abilities import check_region
from majorant.randomness import takes_rng
from majorant.registry import SOLVERS

__all__ = ["DEFAULT_SOLVERS", "FEWEST", "AuditSettings"]

FEWEST = 8
"""Electrodes below which nothing is imaged."""
DEFAULT_SOLVERS = ("auto", "sloreta", "unfolded-sbl", "mm-net")
MOST = 10_000
"""Patches; an audit of more would take days and tell no more."""
USUAL_DB = 10.0
"""Signal-to-noise ratio of a common average, dB: the audit speaks of the level nearest to it."""


@takes_rng
@dataclass(frozen=True)
class AuditSettings:
    """Settings of :func:`majorant.audit.run.audit`.

    Attributes
    ----------
    montage : str or None
        A cap of :data:`majorant.audit.caps.CAPS`, a montage that MNE knows by name, a file of
        electrode places, or a recording.
    forward : str or None
        File of an `mne.Forward` of one's own head; None takes the template.
    electrodes : int or None
        How many; a spread subset is chosen and named. None takes all.
    channels : tuple of str
        Which ones, instead.
    snr : tuple of float
        Lowest and highest signal-to-noise ratio, dB, of a patch that the cap sees as well as it
        sees the median place. All patches are equally strong, and the noise is the same for all.
    levels : int
        Signal-to-noise ratios in that range, rounded to whole decibels where they differ.
    solvers : tuple of str
    n : int
        Patches, spread evenly over the cortex.
    extent : float
        Area of a patch at half its maximum, cm².
    goal : float
        Distance within which a patch counts as found, mm.
    head_error : bool
        Whether the head that makes the data differs from the one that solvers believe in. Heads of
        one's own are exact, since there is nothing to differ from.
    seed : int
    age : float or None
        Years: below 18, heads have the skull of the age (`majorant.forward.ages`).
    region : float or None
        Probability of the regions whose size is foretold, 0.5 to 0.99; None foretells none.

    Raises
    ------
    MajorantError
        If a number or name makes no sense.
    """

    montage: str | None = "standard_1020"
    forward: str | None = None
    electrodes: int | None = None
    channels: tuple[str, ...] = ()
    snr: tuple[float, float] = (-5.0, 20.0)
    levels: int = 4
    solvers: tuple[str, ...] = DEFAULT_SOLVERS
    n: int = 400
    extent: float = 10.0
    goal: float = 20.0
    head_error: bool = True
    seed: int = 0
    age: float | None = None
    region: float | None = None

    def __post_init__(self) -> None:
        low, high = self.snr
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise MajorantError(
                f"the range of signal-to-noise ratios from {low:g} to {high:g} dB is empty; give "
                "the lower end first"
            )
        if not -40 <= low <= high <= 60:
            raise MajorantError(
                f"signal-to-noise ratios from {low:g} to {high:g} dB are beyond any recording; "
                "give decibels between -40 and 60"
            )
        if self.electrodes is not None and self.electrodes < FEWEST:
            raise MajorantError(
                f"{self.electrodes} electrodes were asked for; source imaging needs at least "
                f"{FEWEST}, and 32 or more are advised"
            )
        if self.channels and self.electrodes is not None:
            raise MajorantError(
                "a number of electrodes and their names were both given; choose one"
            )
        if self.montage is not None and self.forward is not None:
            raise MajorantError(
                "a montage and a forward solution were both given; the electrodes of a forward "
                "solution are fixed, so leave the montage out"
            )
        if self.age is not None and self.forward is not None:
            raise MajorantError(
                "an age and a forward solution were both given; a forward solution has its own "
                "skull, so leave the age out"
            )
        check_region(self.region)
        if self.region is not None and (self.forward is not None or self.age is not None):
            raise MajorantError(
                "regions are calibrated on heads around the template of an adult; leave the "
                "forward solution and the age out, or the region"
            )
        if self.montage is None and self.forward is None:
            raise MajorantError("no montage was given; name one, or give a file")
        self._check_sizes()
        self._check_solvers()

    def _check_sizes(self) -> None:
        if not 1 <= self.levels <= 8:
            raise MajorantError(f"{self.levels} levels were asked for; expected 1 to 8")
        if self.n < 20:
            raise MajorantError(
                f"{self.n} patches cannot cover the cortex; give at least 20, better 200"
            )
        if self.n > MOST:
            raise MajorantError(
                f"{self.n} patches were asked for, and {MOST} are several for every place of the "
                "cortex; give fewer"
            )
        if not 0 <= self.seed < 2**63:
            raise MajorantError(f"the seed is {self.seed}; give a whole number from 0 to 2^63 - 1")
        if not 0.5 <= self.extent <= 100:
            raise MajorantError(
                f"patches of {self.extent:g} cm² were asked for; expected 0.5 to 100"
            )
        if not 1 <= self.goal <= 100:
            raise MajorantError(
                f"the distance that counts as found is {self.goal:g} mm; expected 1 to 100"
            )

    def _check_solvers(self) -> None:
        if not self.solvers or len(set(self.solvers)) != len(self.solvers):
            raise MajorantError(
                f"the solvers are {', '.join(self.solvers) or '(none)'}; name at least one, and "
                "none twice"
            )
        for name in self.solvers:
            if name not in SOLVERS:
                raise MajorantError(
                    f"there is no solver {name!r}{nearest(name, SOLVERS)}; choose from "
                    f"{', '.join(SOLVERS)}"
                )

    @property
    def snr_levels(self) -> tuple[float, ...]:
        """Signal-to-noise ratios, dB, ascending."""
        low, high = self.snr
        if low == high or self.levels == 1:
            return (low,) if low == high else ((low + high) / 2,)
        step = (high - low) / (self.levels - 1)
        exact = [low + i * step for i in range(self.levels)]
        whole = tuple(float(round(level)) for level in exact)
        same_ends = whole[0] == low and whole[-1] == high
        return whole if same_ends and step >= 1 else tuple(exact)

    @property
    def planning(self) -> int:
        """Index of the level that the audit speaks of: the one nearest 10 dB."""
        levels = self.snr_levels
        return min(range(len(levels)), key=lambda i: abs(levels[i] - USUAL_DB))

    def named(self) -> dict[str, Any]:
        """Plain values fit to be shared: of files the names, not where they lie."""
        own = asdict(self)
        for name in ("montage", "forward"):
            value = own[name]
            if value is not None and Path(value).expanduser().exists():
                own[name] = Path(value).name
        return own
