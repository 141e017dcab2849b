"""Which channels are electrodes, and whether their data can be used.

Types by name, bad channels, and the checks that a recording must pass before anything is computed:
NaN, flat channels, amplitudes in another unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.errors import MajorantError

__all__ = [
    "FEWEST",
    "check_samples",
    "check_units",
    "eeg_names",
    "interpolate_bads",
    "mark_bads",
    "require_eeg",
    "set_types_by_name",
    "some",
    "too_few",
]

FEWEST = 8
"""Electrodes below which nothing is imaged."""

TYPES_BY_NAME: Mapping[str, str] = {
    "eog": r"[hv]?_?eog.*|lo[12]|io[12]|so[12]|[hv]eo[glru]?|eye.*",
    "ecg": r"e[ck]g.*",
    "emg": r"emg.*|chin.*",
    "misc": r"gsr.*|eda|resp.*|photo.*|trig.*|status|marker.*|acc.*|aux.*|audio.*|mic|dc\d+|"
    r"pulse|temp.*|sync|counter|time",
}
"""Names of channels that are no electrodes on the scalp, whatever the file calls them."""

MEG = ("mag", "grad")
IN_PYTHON = "in Python SourceImager(...).fit(info, forward, noise_cov) takes all that MNE does"

LARGEST, SMALLEST = 5e-3, 1e-9
"""Median amplitude of a channel (V) above or below which the file is in another unit."""

MIXED = 250.0
"""Ratio of a channel's amplitude to the median one above which it is in another unit, or dead: a
thousand, less what electrodes differ by."""


def eeg_names(inst: Any) -> list[str]:
    """Names of the EEG channels, in order."""
    kinds = inst.get_channel_types()
    return [name for name, kind in zip(inst.ch_names, kinds, strict=True) if kind == "eeg"]


def require_eeg(kinds: Sequence[str], account: Account) -> None:
    """Refuse a recording without EEG, and say which MEG is left out beside it.

    Parameters
    ----------
    kinds : sequence of str
        Types of the channels, as MNE names them.
    account : Account

    Raises
    ------
    MajorantError
        Saying how MEG is imaged, where the recording has that.
    """
    meg = sum(kind in MEG for kind in kinds)
    if "eeg" in kinds:
        if meg:
            account.note(
                f"Left out: MEG ({meg} channel{'' if meg == 1 else 's'}). Recordings are imaged by "
                f"their EEG; {IN_PYTHON}, MEG and both together."
            )
        return
    if meg:
        raise MajorantError(
            f"the recording has no EEG channels but {meg} of MEG, and recordings are imaged by "
            f"their EEG; {IN_PYTHON}, MEG with a forward of its own"
        )
    raise MajorantError(
        f"the recording has no EEG channels (it has {', '.join(sorted(set(kinds)))}); give one "
        "with EEG, or set the types of its channels and save it again"
    )


def some(names: Sequence[str], most: int = 6) -> str:
    """Name the first few."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def too_few(names: Sequence[str]) -> MajorantError:
    """What to raise where fewer than :data:`FEWEST` electrodes can be used."""
    found = f"only {len(names)} usable electrode{'s' if len(names) > 1 else ''}"
    found = f"{found} ({', '.join(names)})" if names else "no usable electrode"
    return MajorantError(
        f"{found}; source imaging needs at least {FEWEST}, and 32 or more are advised"
    )


def set_types_by_name(inst: Any, account: Account) -> None:
    """Type channels as EOG, ECG, ... where the file calls them EEG but their names do not."""
    changed: dict[str, list[str]] = {}
    kinds = dict(zip(inst.ch_names, inst.get_channel_types(), strict=True))
    for kind, pattern in TYPES_BY_NAME.items():
        for name, now in kinds.items():
            if now == "eeg" and re.fullmatch(pattern, name.strip(), re.IGNORECASE):
                changed.setdefault(kind, []).append(name)
    if not changed:
        return
    with listening(account, "setting channel types"):
        inst.set_channel_types({n: kind for kind, names in changed.items() for n in names})
    for kind, names in changed.items():
        label = "miscellaneous" if kind == "misc" else kind.upper()
        account.note(f"Set aside as {label} by name: {', '.join(names)}.")


def mark_bads(
    inst: Any, bads: Sequence[str], account: Account, *, interpolate: bool = False
) -> None:
    """Mark channels as bad, by name without regard to case, and drop all bad electrodes.

    A name that no channel has, with commas in it, is that of several: "Fp1,Fp2". With
    ``interpolate`` they stay, marked, for :func:`interpolate_bads`.

    Raises
    ------
    MajorantError
        If a name is unknown, or no good electrode is left.
    """
    folded = {name.casefold(): name for name in inst.ch_names}
    parts = [[name] if name.casefold() in folded else name.split(",") for name in bads]
    bads = [part.strip() for name in parts for part in name if part.strip()]
    unknown = [name for name in bads if name.casefold() not in folded]
    if unknown:
        raise MajorantError(
            f"the recording has no channel {', '.join(unknown)} to mark as bad; it has "
            f"{', '.join(inst.ch_names)}"
        )
    marked = {*inst.info["bads"], *(folded[name.casefold()] for name in bads)}
    names = eeg_names(inst)
    dropped = [name for name in names if name in marked]
    if dropped and len(dropped) == len(names):
        raise MajorantError(
            f"all {len(names)} electrodes are marked as bad; there is nothing to image"
        )
    if interpolate:
        inst.info["bads"] = dropped
    elif dropped:
        inst.drop_channels(dropped)
        account.note(f"Left out as bad: {', '.join(dropped)}.")


def interpolate_bads(inst: Any, account: Account) -> None:
    """Replace bad electrodes by what their neighbours say (spherical splines, MNE).

    They stay marked as bad: their row of the lead field does not follow the splines, so an
    estimate that took them for measurements would be pulled toward them.
    """
    bads = [name for name in eeg_names(inst) if name in inst.info["bads"]]
    if not bads:
        return
    with listening(account, "interpolating"):
        inst.interpolate_bads(reset_bads=False)
    account.note(
        f"Interpolated from their neighbours: {', '.join(bads)}. They say nothing that the "
        f"{len(eeg_names(inst)) - len(bads)} electrodes that were recorded do not, and sources are "
        "imaged without them."
    )


def check_samples(
    samples: NDArray[np.float64], names: Sequence[str], *, reference: Sequence[str] = ()
) -> None:
    """Refuse NaN, flat channels and amplitudes in another unit.

    Parameters
    ----------
    samples : array, shape (n_channels, n_samples)
        V.
    names : sequence of str
    reference : sequence of str
        Channels that may be flat, because the others were recorded against them.

    Raises
    ------
    MajorantError
        Naming the channels, or the unit that the file is probably in.
    """
    sick = [n for n, row in zip(names, samples, strict=True) if not np.isfinite(row).all()]
    if sick:
        raise MajorantError(
            f"the data hold NaN or infinite values in {some(sick, 12)}; mend them, or leave "
            "these channels out as bad"
        )
    spread = _spread(samples)
    flat = [n for n, s in zip(names, spread, strict=True) if s == 0 and n not in reference]
    if flat:
        raise MajorantError(
            f"the data are flat in {some(flat, 12)}; leave these channels out as bad (or name "
            "the electrode as the reference, if all others were recorded against it)"
        )
    apart = _spread(samples - samples.mean(axis=0))
    if len(samples) > 1 and (apart <= 1e-9 * spread).all():
        raise MajorantError(
            "all electrodes record the same, so nothing is left against their average; check the "
            "reference and the cables, or give another file"
        )
    _refuse_units(
        spread, names, "give the factor to volts as the scale", ", or 1 if they are right"
    )


def check_units(samples: NDArray[np.float64], names: Sequence[str]) -> None:
    """Refuse data in memory whose amplitudes are in another unit than V.

    Parameters
    ----------
    samples : array, shape (n_channels, n_samples)
        Of electrodes.
    names : sequence of str

    Raises
    ------
    MajorantError
        Naming the unit that the data are probably in.
    """
    if samples.size and np.isfinite(samples).all():
        _refuse_units(_spread(samples), names, "multiply them by the factor to volts", "")


def _refuse_units(
    spread: NDArray[np.float64], names: Sequence[str], mend: str, otherwise: str
) -> None:
    """Refuse amplitudes that no EEG has, and channels that differ by a unit's factor."""
    typical = float(np.median(spread[spread > 0])) if (spread > 0).any() else 0.0
    _refuse_mixed(spread, names, typical)
    if typical > LARGEST:
        raise MajorantError(
            f"the amplitudes are around {typical:.3g} V, and EEG is around 1e-5 V: they seem to be "
            f"in another unit; {mend} (1e-6 for microvolts, 1e-3 for millivolts){otherwise}"
        )
    if 0 < typical < SMALLEST:
        raise MajorantError(
            f"the amplitudes are around {typical:.3g} V, and EEG is around 1e-5 V: they seem to "
            f"have been divided once too often; {mend} (1e6 undoes a second conversion from "
            f"microvolts){otherwise}"
        )


def _refuse_mixed(spread: NDArray[np.float64], names: Sequence[str], typical: float) -> None:
    """Refuse channels that are thousands of times larger or smaller than the others."""
    ratio = np.where(spread > 0, spread, typical) / max(typical, np.finfo(float).tiny)
    odd = np.flatnonzero((ratio > MIXED) | (ratio < 1 / MIXED))
    if len(odd):
        raise MajorantError(
            f"the amplitudes of {some([names[int(k)] for k in odd], 8)} are around "
            f"{np.median(spread[odd]):.3g} V, those of the other electrodes around {typical:.3g} "
            "V: the file seems to mix units; bring all channels to volts, or leave these out as bad"
        )


def _spread(samples: NDArray[np.float64], pieces: int = 64) -> NDArray[np.float64]:
    """Standard deviation of every channel: the median over pieces, so that drifts count little."""
    if samples.shape[1] == 1:
        return np.abs(samples[:, 0])
    whole = samples.std(axis=1)
    length = samples.shape[1] // pieces
    if length < 32:
        return whole
    cut = samples[:, : length * pieces].reshape(len(samples), pieces, length)
    local = np.median(cut.std(axis=2), axis=1)
    return np.where(local > 0, local, whole)
