"""Where the electrodes sit: montages by name or file, and positions in the recording itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.errors import MajorantError, nearest
from majorant.recording.channels import FEWEST, eeg_names, set_types_by_name, some
from majorant.recording.file import UNREADABLE

__all__ = ["PlacedMontage", "check_places", "place", "read_montage", "replace_idealised"]

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


def _builtin() -> list[str]:
    import mne

    return [str(name) for name in mne.channels.get_builtin_montages()]


def read_montage(name: str) -> PlacedMontage:
    """Read a montage by the name that MNE gives it, or from a file.

    Raises
    ------
    MajorantError
        If it is neither; the sentence lists the names, or the formats.
    """
    import mne

    builtin = {known.casefold(): known for known in _builtin()}
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
    found = _matches(names, placed.montage.ch_names)
    renamed: dict[str, str] = {}
    if len(found) < FEWEST and placed.from_file:
        renamed = _rename_in_order(inst, placed, account)
        if renamed:
            set_types_by_name(inst, account)
            names = eeg_names(inst)
            found = _matches(names, placed.montage.ch_names)
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
    inst.rename_channels(renamed)
    account.note(
        f"The channels are named otherwise than in {placed.title} but are as many, so they were "
        f"renamed in order: {old[0]} is {listed[0]}, {old[1]} is {listed[1]}, ..., "
        f"{old[-1]} is {listed[-1]}. Check that the order is the same."
    )
    return renamed


def _plain(name: str) -> str:
    """A channel name without what recording systems put around it."""
    short = re.sub(r"^eeg[\s_:-]*", "", name.strip().casefold())
    return re.sub(r"[\s_-]+(ref|le|avg|ar|a1|a2)$", "", short).rstrip(".").strip()


def _matches(names: Sequence[str], listed: Sequence[str]) -> dict[str, str]:
    """The montage's name of every channel that it lists."""
    found: dict[str, str] = {}
    for simplify in (str, str.casefold, _plain):
        table = {simplify(theirs): theirs for theirs in reversed(listed)}
        taken = set(found.values())
        for ours in names:
            theirs = table.get(simplify(ours))
            if ours not in found and theirs is not None and theirs not in taken:
                found[ours] = theirs
                taken.add(theirs)
    return {name: found[name] for name in names if name in found}


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
    import mne

    names = eeg_names(inst)
    known = dict(zip(inst.ch_names, placed_electrodes(inst.info), strict=True))
    lost = [name for name in names if not known[name]]
    if len(lost) < len(names):
        if lost:
            inst.drop_channels(lost)
            account.note(f"Set aside, for the file gives them no position: {', '.join(lost)}.")
        return
    listed = mne.channels.make_standard_montage(standard_name()).ch_names
    n_known = len(_matches(names, listed))
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


def standard_name() -> str:
    """The name of the best 10-05 montage in the MNE at hand: on fsaverage since 1.13."""
    known = _builtin()
    return next(n for n in ("fsaverage_1005", "colin27_1005", "standard_1005") if n in known)


def replace_idealised(inst: Any, account: Account) -> None:
    """Take the 10-05 positions for electrodes that were placed on a perfect sphere by name.

    Files of electrode names often carry positions on a sphere whose equator runs through FPz, T7
    and Oz, and no fiducials. Read literally they put the nasion at FPz, some 3 cm too high.
    Where all names belong to the 10-05 system and lie in its directions, the positions that the
    system has on a real head say more.
    """
    import mne

    names = eeg_names(inst)
    rows = [inst.ch_names.index(name) for name in names]
    places = np.array([inst.info["chs"][i]["loc"][:3] for i in rows], float)
    if not _on_a_sphere(places) or not _without_fiducials(inst.info):
        return
    standard = mne.channels.make_standard_montage(standard_name())
    found = _matches(names, standard.ch_names)
    if len(found) < len(names):
        return
    real = standard.get_positions()["ch_pos"]
    if not _same_directions(places, np.array([real[found[name]] for name in names])):
        return
    standard.rename_channels({theirs: ours for ours, theirs in found.items() if ours != theirs})
    with listening(account, "placing electrodes"):
        inst.set_montage(standard, on_missing="ignore")
    account.note(
        "The positions lie on a perfect sphere and come without fiducials, so they are a drawing, "
        "not a measurement; the places of these names in the 10-05 system were taken instead."
    )


def _on_a_sphere(places: NDArray[np.float64]) -> bool:
    radius = np.linalg.norm(places, axis=1)
    return bool(radius.std() < 1e-3 * radius.mean())


def _without_fiducials(info: Any) -> bool:
    """Whether fiducials are absent, or made up: on the axes, at one distance from the origin."""
    from mne.io.constants import FIFF

    points = [p["r"] for p in info["dig"] or () if p["kind"] == FIFF.FIFFV_POINT_CARDINAL]
    if len(points) < 3:
        return True
    radius = np.linalg.norm(points, axis=1)
    return bool(radius.std() < 1e-3 * radius.mean())


def _same_directions(
    ideal: NDArray[np.float64], real: NDArray[np.float64], largest: float = 35.0
) -> bool:
    """Whether two sets of positions agree in direction (degrees) after the best rotation."""
    squares = (real**2).sum(axis=1)
    centre = np.linalg.lstsq(np.c_[2 * real, np.ones(len(real))], squares, rcond=None)[0][:3]
    a, b = ideal, real - centre
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    u, _, vt = np.linalg.svd(a.T @ b)
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    angles = np.degrees(np.arccos(np.clip(((a @ turn) * b).sum(axis=1), -1, 1)))
    return bool(angles.max() < largest)
