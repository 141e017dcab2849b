"""How a recording is prepared: one frozen record, one place for every default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from majorant.errors import MajorantError
from majorant.recording.rank import check_rank

__all__ = ["Preparation", "check_lone"]

Baseline = tuple[float | None, float | None] | Literal["auto", "none"]


SLOWEST = 1e-3
"""Hz; MNE's filter of a lower edge takes some three times its period."""


def check_lone(lone: str) -> None:
    """Refuse what is no way to treat electrodes that speak alone."""
    if lone not in ("doubt", "believe"):
        raise MajorantError(
            f"lone electrodes are to be treated by {lone!r}; expected 'doubt' or 'believe'"
        )


@dataclass(frozen=True)
class Preparation:
    """Settings of :func:`majorant.recording.prepare.prepare`.

    Attributes
    ----------
    event : str, tuple of str or None
        Continuous data and epochs: the event whose trials are averaged, by its name, its code or a
        tag; ``"a+b"`` averages the trials of both. Several, in a tuple or with commas, are several
        conditions: :func:`majorant.recording.average.separate` makes one record of each.
    condition : str, tuple of str or None
        Averages: which. The two words are understood for each other.
    tmin, tmax : float or None
        Window, s; continuous data are cut from -0.2 to 0.5 s unless told otherwise.
    baseline : tuple, "auto" or "none"
        Window whose mean is removed, s, None for either end; "auto" is everything before 0.
    filter : tuple of (float or None) or None
        Lower and upper edge of a zero-phase band-pass, Hz.
    reference : str
        "average", or the electrodes (with commas) that all others were recorded against: they are
        added as channels of zeros before the average reference is taken.
    bads : tuple of str
        Bad channels, beside those marked in the file.
    interpolate : bool
        Whether bad electrodes are interpolated from their neighbours instead of left out. That
        adds nothing that the others do not say; it keeps channels the same across recordings.
    montage : str or None
        A montage that MNE knows by name, or a file; None uses the positions in the recording.
    noise_cov : str or None
        File of a noise covariance of single trials; None computes it from the baseline.
    scale : float or None
        Factor from the numbers in the file to volts; None takes the file's word.
    reject : float or None
        Trials whose peak-to-peak amplitude exceeds this (V) at any electrode are left out.
    rank : None, "info", "full" or mapping
        Of the data, in MNE's words: None finds it, "info" and "full" take all dimensions that
        projectors leave, and a mapping says it, ``{"eeg": 50}``. It holds for the imager, too.
    stretch : float or None
        Seconds. Continuous data are cut into stretches of this length, whatever events they have,
        as for spectra at rest; `tmin` and `tmax` are then seconds from the recording's start.
    events_from : str or None
        A file with the events of a continuous recording (MNE's events or annotations, or a table
        as BIDS has it), or "annotations" for those of the recording and nothing else.
    overlap : float or None
        Of stretches, as a share of their length; None for none.
    lone : {"doubt", "believe"}
        Whether an electrode that shows what no other does, and no current in the head could, is
        taken to be as noisy as that, or at its word (:mod:`majorant.recording.lone`).

    Raises
    ------
    MajorantError
        If a number makes no sense.
    """

    event: str | tuple[str, ...] | None = None
    condition: str | tuple[str, ...] | None = None
    tmin: float | None = None
    tmax: float | None = None
    baseline: Baseline = "auto"
    filter: tuple[float | None, float | None] | None = None
    reference: str = "average"
    bads: tuple[str, ...] = ()
    interpolate: bool = False
    montage: str | None = None
    noise_cov: str | None = None
    scale: float | None = None
    reject: float | None = None
    rank: str | Mapping[str, int] | None = None
    stretch: float | None = None
    overlap: float | None = None
    events_from: str | None = None
    lone: str = "doubt"

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_stretch()
        check_rank(self.rank)
        check_lone(self.lone)
        if self.tmin is not None and self.tmax is not None and not self.tmin < self.tmax:
            raise MajorantError(
                f"the window from {self.tmin:g} to {self.tmax:g} s is empty; give tmin below tmax"
            )
        if self.event is not None and self.condition is not None:
            raise MajorantError(
                f"an event ({self.event!r}) and a condition ({self.condition!r}) were both given; "
                "choose one"
            )
        if not self.reference.strip(" ,"):
            raise MajorantError(
                "the reference is empty; expected 'average', or the names of electrodes"
            )
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise MajorantError(f"the scale is {self.scale}; expected a positive factor to volts")
        if self.reject is not None and not self.reject > 0:
            raise MajorantError(
                f"the rejection threshold is {self.reject} V; expected a positive amplitude"
            )
        if isinstance(self.baseline, str) and self.baseline not in ("auto", "none"):
            raise MajorantError(
                f"the baseline is {self.baseline!r}; expected 'auto', 'none' or two times in s"
            )
        if self.filter is not None:
            low, high = self.filter
            given = [edge for edge in (low, high) if edge is not None]
            if any(not edge > 0 for edge in given) or (len(given) == 2 and not given[0] < given[1]):
                raise MajorantError(
                    f"the filter edges are {low} and {high} Hz; expected positive frequencies, the "
                    "lower one first (leave one out for a high-pass or low-pass)"
                )

    def _check_numbers(self) -> None:
        """Refuse numbers that are none, and filters that no recording is long enough for."""
        window = self.baseline if isinstance(self.baseline, tuple) else ()
        given = (self.tmin, self.tmax, self.reject, *(self.filter or ()), *window)
        for value in given:
            if value is not None and not math.isfinite(value):
                raise MajorantError(f"a time or frequency is {value}; give finite numbers")
        for edge in self.filter or ():
            if edge is not None and 0 < edge < SLOWEST:
                raise MajorantError(
                    f"a filter edge is {edge:g} Hz; below {SLOWEST:g} Hz a filter is longer than "
                    "an hour, so leave that edge out"
                )

    def _check_stretch(self) -> None:
        if self.stretch is None:
            return
        if not (math.isfinite(self.stretch) and self.stretch > 0):
            raise MajorantError(f"stretches of {self.stretch} s were asked for; give a length in s")
        if self.overlap is not None and not 0 <= self.overlap < 1:
            raise MajorantError(
                f"stretches overlap by {self.overlap:g}; expected a share from 0 to below 1"
            )
        if self.choice is not None:
            raise MajorantError(
                f"stretches are cut whatever events there are, and {self.choice!r} was asked for; "
                "leave one of them out"
            )
        if isinstance(self.baseline, tuple):
            raise MajorantError(
                "stretches of continuous data have no baseline; leave it out, and give a noise "
                "covariance from a file if there is one"
            )

    @property
    def choice(self) -> str | tuple[str, ...] | None:
        """The event or condition asked for, or several of them."""
        return self.event if self.event is not None else self.condition

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def named(self) -> dict[str, Any]:
        """Plain values fit to be shared: of files the names, not where they lie."""
        files = {
            name: Path(value).name
            for name, value in (
                ("montage", self.montage),
                ("noise_cov", self.noise_cov),
                ("events_from", self.events_from),
            )
            if value is not None
        }
        return {**self.to_dict(), **files}
