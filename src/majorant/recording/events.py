"""Events and marks of a recording: what a trial can be cut around, and what no trial may touch.

Two kinds of annotations are no events. *Bad stretches* begin with BAD, as everywhere in MNE. *Cuts*
are points where two pieces of data were joined: EEGLAB's ``boundary`` (whose duration is that of
the data that were removed, and are not there), BrainVision's ``New Segment/``, MNE's
``EDGE boundary``. A trial across a cut holds a step that nobody's brain made.

Stimulus channels are read as steps. A level that is held until the next one, consecutive codes
without a zero between them, and a channel that rests at some other level than 0 all occur.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from majorant.errors import MajorantError

__all__ = [
    "Marks",
    "annotation_events",
    "bad_samples",
    "find_marks",
    "is_mark",
    "spelled",
    "trigger_events",
]

CUT = re.compile(r"boundary|edge|edge boundary|new segment(/.*)?", re.IGNORECASE)
"""Annotations that mark where two pieces were joined."""

EEGLAB_CUT = "-99"
"""EEGLAB's boundary where the types of events are numbers."""

RESTS = 3.0
"""How many times longer than other levels one is held at which a stimulus channel rests."""


def is_mark(name: str) -> bool:
    """Whether an annotation marks a bad stretch or a cut, and is no event."""
    return name.upper().startswith("BAD") or CUT.fullmatch(name.strip()) is not None


@dataclass(frozen=True, eq=False)
class Marks:
    """What no trial may touch.

    Attributes
    ----------
    bad : array of bool, shape (n_times,)
        Samples in stretches marked as bad.
    cuts : array, shape (n_cuts,)
        First sample after each place where two pieces were joined.
    """

    bad: NDArray[np.bool_]
    cuts: NDArray[np.int64]

    def touched(self, starts: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        """Which windows hold a bad sample, shape (n_windows,).

        Parameters
        ----------
        starts : array, shape (n_windows,)
            First sample of each, from the beginning of the data; may lie outside of them.
        length : int
        """
        total = np.r_[0, np.cumsum(self.bad)]
        first, last = (np.clip(k, 0, len(self.bad)) for k in (starts, starts + length))
        return total[last] > total[first]

    def cut(self, starts: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        """Which windows lie across a cut, shape (n_windows,)."""
        after = np.searchsorted(self.cuts, starts, side="right")
        before = np.searchsorted(self.cuts, starts + length, side="left")
        return before > after


def find_marks(raw: Any) -> Marks:
    """Find the bad stretches and the cuts of continuous data.

    Parameters
    ----------
    raw : mne.io.BaseRaw
    """
    marks, sfreq, n = raw.annotations, float(raw.info["sfreq"]), len(raw.times)
    numbers = any(str(name).endswith((".set", ".fdt")) for name in raw.filenames if name)
    bad, cuts = np.zeros(n, bool), []
    # MNE counts annotations from the time that its first sample is counted from.
    onsets = marks.onset - raw.first_time
    for onset, duration, name in zip(onsets, marks.duration, marks.description, strict=True):
        if name.upper().startswith("BAD"):
            a, b = (round(float(time) * sfreq) for time in (onset, onset + duration))
            bad[max(a, 0) : max(b, a + 1, 0)] = True
        if _joins(str(name), numbers=numbers):
            # EEGLAB's lie half-way between two samples.
            cuts.append(int(np.ceil(onset * sfreq - 0.01)))
    inside = np.unique(np.array(cuts, np.int64))
    return Marks(bad, inside[(inside > 0) & (inside < n)])


def _joins(name: str, *, numbers: bool) -> bool:
    text = name.strip()
    if text.upper() == "BAD BOUNDARY" or (numbers and text == EEGLAB_CUT):
        return True
    return CUT.fullmatch(text) is not None


def bad_samples(raw: Any, first: int, last: int) -> NDArray[np.bool_]:
    """Which samples of a window lie in annotations whose name begins with BAD.

    Parameters
    ----------
    raw : mne.io.BaseRaw
    first, last : int
        First sample and the one after the last.

    Returns
    -------
    array, shape (last - first,)
    """
    return find_marks(raw).bad[first:last]


def annotation_events(raw: Any) -> dict[str, NDArray[np.int64]]:
    """Samples of every annotation that is an event, by its name.

    Parameters
    ----------
    raw : mne.io.BaseRaw
    """
    import mne

    numbers = any(str(name).endswith((".set", ".fdt")) for name in raw.filenames if name)
    names = [
        name
        for name in dict.fromkeys(map(str, raw.annotations.description))
        if not is_mark(name) and not _joins(name, numbers=numbers)
    ]
    if not names:
        return {}
    ids: Any = {name: k + 1 for k, name in enumerate(names)}
    # The expression of MNE would leave out again what begins with "edge".
    every: Any = None
    events, _ = mne.events_from_annotations(raw, event_id=ids, regexp=every)
    by_name = {name: events[events[:, 2] == code, 0] for name, code in ids.items()}
    return {name: samples for name, samples in by_name.items() if len(samples)}


def trigger_events(raw: Any) -> dict[str, NDArray[np.int64]]:
    """Samples at which stimulus channels step to a code, by the code.

    Every step to a level other than 0 is an event, also one from another level; the level that a
    channel starts with is none. Two kinds of steps are left out: back to a level at which the
    channel rests (every other step leads from it, and it is held three times as long as any other),
    and single samples on the way from one level to another, which parallel ports show while their
    lines switch one by one.

    Parameters
    ----------
    raw : mne.io.BaseRaw
    """
    found: dict[str, list[NDArray[np.int64]]] = {}
    for channel in _stimulus_channels(raw):
        values = np.rint(np.nan_to_num(raw.get_data(picks=[channel])[0])).astype(np.int64)
        if values.min(initial=0) < 0:
            # Codes that were stored with a sign lose it, as with MNE's `uint_cast`.
            values %= 1 << 16
        for code, samples in _codes(values).items():
            found.setdefault(str(code), []).append(samples + raw.first_samp)
    return {code: np.unique(np.concatenate(found[code])) for code in sorted(found, key=int)}


def _stimulus_channels(raw: Any) -> list[str]:
    """The composite channel of an Elekta system, or all stimulus channels."""
    names = [
        name
        for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True)
        if kind == "stim"
    ]
    return next(([name] for name in ("STI101", "STI 014") if name in names), names)


def _codes(values: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Samples at which a channel steps to a code, by the code."""
    steps = np.flatnonzero(np.diff(values)) + 1
    before, after = values[steps - 1], values[steps]
    held = np.diff(np.r_[steps, len(values)])
    passing = (held == 1) & (np.r_[after[1:], before[-1:]] != before)
    kept = (after != 0) & (after != _resting(before, after, held)) & ~passing
    return {int(code): steps[kept & (after == code)] for code in np.unique(after[kept])}


def _resting(before: NDArray[np.int64], after: NDArray[np.int64], held: NDArray[np.int64]) -> int:
    """The level at which a channel rests, 0 unless another one is plain."""
    for level in np.unique(after[after != 0]):
        to, rest = after == level, (0, level)
        others = ~np.isin(after, rest) | ~np.isin(before, rest)
        if not (others.any() and (to | (before == level)).all()):
            continue
        if np.median(held[to]) >= RESTS * np.median(held[~to]):
            return int(level)
    return 0


def spelled(name: str, options: Mapping[str, int | None], *, tags: bool) -> tuple[str, ...] | None:
    """The recording's spelling of a name.

    The name itself comes before everything else; then its code; then the name whatever its case and
    spaces; then, as in MNE, all events that have it among the tags between their slashes.

    Parameters
    ----------
    name : str
        As it was asked for.
    options : mapping
        Names of events or conditions, and their codes where they have any.
    tags : bool
        Whether several events may be meant by a tag that they share.

    Returns
    -------
    tuple of str or None
        None where nothing is of that name.

    Raises
    ------
    MajorantError
        If several differ from it in case or spaces only.
    """
    if name in options:
        return (name,)
    if name.strip().isdigit():
        coded = [o for o, code in options.items() if int(name) in (code, _number(o))]
        if coded:
            return _one_of(name, coded)
    for fold in (_folded, _without_spaces):
        alike = [option for option in options if fold(option) == fold(name)]
        if alike:
            return _one_of(name, alike)
    if not tags:
        return None
    wanted = {_folded(part) for part in name.split("/")}
    tagged = [o for o in options if wanted <= {_folded(part) for part in o.split("/")}]
    return tuple(tagged) or None


def _one_of(name: str, alike: list[str]) -> tuple[str, ...]:
    if len(alike) > 1:
        listed = " or ".join(repr(option) for option in alike)
        raise MajorantError(f"{name!r} may be {listed}; write it as the recording does")
    return (alike[0],)


def _folded(text: str) -> str:
    # One letter may be written in two ways, as itself or as a letter with an accent behind it; and
    # FIF files hold letters beyond Latin-1 as "&#945;".
    return " ".join(normalize("NFKC", unescape(text)).casefold().split())


def _without_spaces(text: str) -> str:
    return _folded(text).replace(" ", "")


def _number(option: str) -> int | None:
    """The code that MNE gives an event by its name: BrainVision's S 1 is 1, and R 1 is 1001."""
    match = re.fullmatch(
        r"(?:(?:stimulus/)?(s)|(?:response/)?(r))?\s*0*(\d+)(?:\.0+)?", option.casefold()
    )
    if match is None:
        return None
    return int(match[3]) + (1000 if match[2] else 0)
