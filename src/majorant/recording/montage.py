"""Where the electrodes sit: montages by name or file, and positions in the recording itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.errors import MajorantError, nearest
from majorant.recording.channels import FEWEST, eeg_names, set_types_by_name, some
from majorant.recording.file import UNREADABLE
from majorant.recording.names import builtin_montages, matches, standard_names
from majorant.recording.system import contradiction

__all__ = [
    "PlacedMontage",
    "check_places",
    "place",
    "read_montage",
]

ALIASES: Mapping[str, str] = {
    f"standard_{name}": f"colin27_{name}"
    for name in ("1005", "1020", "alphabetic", "postfixed", "prefixed", "primed")
}
"""Montages that MNE 1.13 renamed; both names are understood with every version."""

CUSTOM = (".loc", ".locs", ".eloc", ".sfp", ".csd", ".elc", ".txt", ".elp", ".bvef", ".csv")
CUSTOM += (".tsv", ".xyz")
DIGITISED = (".fif", ".hpts", ".bvct", ".dat")


@dataclass(frozen=True)
class PlacedMontage:
    """A montage and what it is called.

    Attributes
    ----------
    montage : mne.channels.DigMontage
    title : str
        Name of the montage, or of its file.
    from_file : bool
    """

    montage: Any
    title: str
    from_file: bool


def read_montage(name: str) -> PlacedMontage:
    """Read a montage by the name that MNE gives it, or from a file.

    Raises
    ------
    MajorantError
        If it is neither; the sentence lists the names, or the formats.
    """
    import mne

    builtin = {known.casefold(): known for known in builtin_montages()}
    swapped = {**ALIASES, **{new: old for old, new in ALIASES.items()}}
    for wanted in (name.casefold(), swapped.get(name.casefold(), "").casefold()):
        if wanted in builtin:
            made = mne.channels.make_standard_montage(builtin[wanted])
            return PlacedMontage(made, name, from_file=False)
    path = Path(name).expanduser()
    if not path.is_file():
        raise MajorantError(
            f"there is no montage and no file named {name!r}"
            f"{nearest(name, [*builtin.values(), *ALIASES])}; give a file or one of "
            f"{', '.join(sorted({*builtin.values(), *ALIASES}, key=str.casefold))}"
        )
    return PlacedMontage(_read_montage_file(path), path.name, from_file=True)


def _read_montage_file(path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix not in CUSTOM + DIGITISED:
        raise MajorantError(
            f"the montage file {path} has a suffix that is not known; expected one of "
            f"{', '.join(CUSTOM + DIGITISED)}"
        )
    try:
        with listening(Account(), "reading the montage"):
            montage = _read_positions(path, suffix)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200]
        raise MajorantError(
            f"the montage file {path} cannot be read ({reason}); is it what its suffix says?"
        ) from error
    if not montage.ch_names:
        raise MajorantError(f"the montage file {path} places no electrode; give another")
    return montage


def _read_positions(path: Path, suffix: str) -> Any:
    import mne

    if suffix in CUSTOM:
        return mne.channels.read_custom_montage(path)
    if suffix == ".fif":
        return mne.channels.read_dig_fif(path)
    if suffix == ".hpts":
        return mne.channels.read_dig_hpts(path)
    if suffix == ".bvct":
        return mne.channels.read_dig_captrak(path)
    read: Any = mne.channels.read_dig_dat
    return read(path)


def place(inst: Any, placed: PlacedMontage, account: Account) -> dict[str, str]:
    """Give the electrodes of a recording the positions of a montage.

    Names match without regard to case. A montage from a file whose channels are named otherwise
    but are as many gives its names too, in order. EEG channels without a place are set aside.

    Returns
    -------
    dict
        New names by old ones, where channels were renamed.

    Raises
    ------
    MajorantError
        If fewer than eight electrodes find a place.
    """
    names = eeg_names(inst)
    found = matches(names, placed.montage.ch_names)
    renamed: dict[str, str] = {}
    if len(found) < FEWEST and placed.from_file:
        renamed = _rename_in_order(inst, placed, account)
        if renamed:
            set_types_by_name(inst, account)
            names = eeg_names(inst)
            found = matches(names, placed.montage.ch_names)
    if len(found) < min(FEWEST, max(len(names), 1)):
        raise MajorantError(
            f"{_how_many(len(found))} of the {len(names)} electrodes ({some(names)}) are in the "
            f"montage {placed.title} ({some(placed.montage.ch_names)}); choose another montage"
        )
    montage = placed.montage.copy()
    montage.rename_channels({theirs: ours for ours, theirs in found.items() if ours != theirs})
    with listening(account, "placing electrodes"):
        inst.set_montage(montage, on_missing="ignore")
    account.note(f"Electrode positions from the montage {placed.title}, {len(found)} electrodes.")
    lost = [name for name in names if name not in found]
    if lost:
        inst.drop_channels(lost)
        account.note(
            f"Set aside, for the montage {placed.title} does not place them: {', '.join(lost)}."
        )
    return renamed


def _how_many(count: int) -> str:
    return f"only {count}" if count else "none"


def _rename_in_order(inst: Any, placed: PlacedMontage, account: Account) -> dict[str, str]:
    """Rename channels by their order in a montage file, if it lists as many."""
    listed = list(placed.montage.ch_names)
    for old in (eeg_names(inst), list(inst.ch_names)):
        if len(old) == len(listed):
            break
    else:
        return {}
    renamed = {a: b for a, b in zip(old, listed, strict=True) if a != b}
    _refuse_other_order(dict(zip(old, listed, strict=True)), placed)
    inst.rename_channels(renamed)
    account.note(
        f"The channels are named otherwise than in {placed.title} but are as many, so they were "
        f"renamed in order: {old[0]} is {listed[0]}, {old[1]} is {listed[1]}, ..., "
        f"{old[-1]} is {listed[-1]}. Check that the order is the same."
    )
    return renamed


def _refuse_other_order(order: Mapping[str, str], placed: PlacedMontage) -> None:
    """Refuse an order that the names of the recording, where they say anything, contradict."""
    places = placed.montage.get_positions()["ch_pos"]
    found = contradiction({ours: places[theirs] for ours, theirs in order.items()})
    if found is not None:
        raise MajorantError(
            f"the channels are named otherwise than in {placed.title}, and in its order {found}; "
            "give a file with the names of the recording"
        )


def placed_electrodes(info: Any) -> NDArray[np.bool_]:
    """Which channels have a position, shape (n_channels,)."""
    places = np.array([channel["loc"][:3] for channel in info["chs"]]).reshape(-1, 3)
    return np.isfinite(places).all(axis=1) & (places != 0).any(axis=1)


def check_places(inst: Any, account: Account) -> None:
    """Set electrodes without a position aside; refuse a recording that has none.

    Raises
    ------
    MajorantError
        If no electrode has a position.
    """
    names = eeg_names(inst)
    known = dict(zip(inst.ch_names, placed_electrodes(inst.info), strict=True))
    lost = [name for name in names if not known[name]]
    if len(lost) < len(names):
        if lost:
            inst.drop_channels(lost)
            account.note(f"Set aside, for the file gives them no position: {', '.join(lost)}.")
        return
    n_known = len(matches(names, standard_names()))
    if n_known < FEWEST:
        raise MajorantError(
            f"the recording has no electrode positions, and the names ({some(names)}) are not "
            "those of the 10-05 system, so no montage of MNE's knows them; give a file of "
            "positions with these names or with as many electrodes in the same order, or rename "
            "the channels"
        )
    hint = f" ({n_known} of these {len(names)} names are in it)"
    raise MajorantError(
        f"the recording has no electrode positions ({some(names)}); give them with a montage, "
        f"by name (standard_1005{hint}) or from a file"
    )
