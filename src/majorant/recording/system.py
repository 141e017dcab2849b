"""Names of electrodes against where they are: the 10-05 system as a witness.

A name of the 10-05 system says where an electrode sits, to a centimetre or two. Where most names of
a recording belong to it, its places are compared with those of the system after the best
similarity transformation (Umeyama, IEEE Trans Pattern Anal Mach Intell 13, 1991, eq. 40-43, with
weights that fall with the distance, so that a few wrong places cannot turn the whole). Places in
another frame are turned; single electrodes that sit where others belong are left out; places that
are mirrored, or in no order at all, are refused; a drawing on a sphere gives way to the system's
own places.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.errors import MajorantError
from majorant.recording.channels import FEWEST, eeg_names, some
from majorant.recording.names import matches, standard_name

__all__ = ["check_names", "contradiction", "measured_fiducials"]

KNOWN = 0.6
"""Share of the names that must be of the system before it is asked."""

NEAR_MM, ELSEWHERE_MM = 20.0, 45.0
"""Median distance at which places and names agree, and that at which one electrode does not."""

MOST_ELSEWHERE = 0.25
"""Share of electrodes that may sit elsewhere."""

TURNED_DEG = 35.0
"""Caps and frames differ by less than this; a frame with another axis to the nose by 90."""

SNAP_DEG = 25.0
"""Turns this near to one that exchanges axes are taken for it."""

ORIGIN_MM = 40.0
"""How far the origin may lie from that of the head frame before places are shifted."""


@dataclass(frozen=True, eq=False)
class Similarity:
    """The best ``scale * turn @ place + shift`` from places to those of the system.

    Attributes
    ----------
    scale : float
    turn : array, shape (3, 3)
        Orthogonal; a reflection where its determinant is negative.
    shift : array, shape (3,)
    left_mm : array, shape (n,)
        Distance of every electrode that is left.
    """

    scale: float
    turn: NDArray[np.float64]
    shift: NDArray[np.float64]
    left_mm: NDArray[np.float64]

    @property
    def fits(self) -> bool:
        """Whether places and names agree."""
        elsewhere = float(np.mean(self.left_mm > ELSEWHERE_MM))
        return float(np.median(self.left_mm)) < NEAR_MM and elsewhere <= MOST_ELSEWHERE

    @property
    def degrees(self) -> float:
        """Angle of the turn."""
        return float(np.degrees(np.arccos(np.clip((np.trace(self.turn) - 1) / 2, -1, 1))))


def similarity(
    places: NDArray[np.float64], system: NDArray[np.float64], *, mirrored: bool
) -> Similarity:
    """Fit a similarity, robustly.

    Parameters
    ----------
    places, system : array, shape (n, 3)
        Of the same electrodes, m.
    mirrored : bool
        Whether the turn is to be a reflection.
    """
    starts = (np.ones(len(places)), _standing(places, system))
    fits = [_reweighted(places, system, weight, mirrored) for weight in starts]
    return min(fits, key=lambda fit: float(np.median(fit.left_mm)))


def _standing(places: NDArray[np.float64], system: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights from the distances that are left without any turn."""
    a, b = places - np.median(places, axis=0), system - np.median(system, axis=0)
    size = np.sqrt((b**2).sum() / max((a**2).sum(), 1e-30))
    return 1 / np.maximum(np.linalg.norm(size * a - b, axis=1), 1e-3 * NEAR_MM) ** 2


def _reweighted(
    places: NDArray[np.float64],
    system: NDArray[np.float64],
    weight: NDArray[np.float64],
    mirrored: bool,
) -> Similarity:
    fit = _umeyama(places, system, weight, mirrored)
    for _ in range(15):
        weight = 1 / np.maximum(fit.left_mm, NEAR_MM / 2) ** 2
        fit = _umeyama(places, system, weight, mirrored)
    return fit


def _umeyama(
    places: NDArray[np.float64],
    system: NDArray[np.float64],
    weight: NDArray[np.float64],
    mirrored: bool,
) -> Similarity:
    share = (weight / weight.sum())[:, None]
    middle, target = (share * places).sum(axis=0), (share * system).sum(axis=0)
    a, b = places - middle, system - target
    u, s, vt = np.linalg.svd((share * b).T @ a)
    sign = -1.0 if mirrored else 1.0
    last = np.array([1.0, 1.0, sign * np.sign(np.linalg.det(u @ vt)) or sign])
    turn = (u * last) @ vt
    scale = float((s * last).sum() / max((share * a**2).sum(), 1e-30))
    shift = target - scale * turn @ middle
    left = np.linalg.norm(scale * places @ turn.T + shift - system, axis=1)
    return Similarity(scale, turn, shift, 1e3 * left)


def _system_places(names: Sequence[str]) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """The names that are of the system, and its places by these names, m."""
    places = _standard()["ch_pos"]
    found = matches(names, list(places))
    return list(found), {ours: np.asarray(places[theirs]) for ours, theirs in found.items()}


@cache
def _standard() -> Mapping[str, Any]:
    """Places and fiducials of the 10-05 system on a real head, head frame."""
    import mne

    standard = mne.channels.make_standard_montage(standard_name())
    return mne.channels.transform_to_head(standard).get_positions()


def _compared(
    places: Mapping[str, NDArray[np.float64]],
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]] | None:
    """Known names with their places and the system's; None where too few are known."""
    known, system = _system_places(list(places))
    if len(known) < max(FEWEST, KNOWN * len(places)):
        return None
    return (
        known,
        np.array([places[name] for name in known], float),
        np.array([system[name] for name in known], float),
    )


def contradiction(places: Mapping[str, NDArray[np.float64]]) -> str | None:
    """Say how places contradict the names, where no turn can mend it.

    Parameters
    ----------
    places : mapping of str to array, shape (3,)
        m.
    """
    compared = _compared(places)
    if compared is None:
        return None
    known, ours, system = compared
    if similarity(ours, system, mirrored=False).fits:
        return None
    if similarity(ours, system, mirrored=True).fits:
        return (
            "the electrode positions are mirrored: against their names, left and right (or front "
            f"and back, or up and down) are exchanged ({_example(known, ours)})"
        )
    return (
        "the electrode positions contradict the names of the electrodes: no turn brings them to "
        f"where the 10-05 system has these names ({_example(known, ours)}), as if the list of "
        "places were in another order"
    )


def _example(known: Sequence[str], ours: NDArray[np.float64]) -> str:
    """Two electrodes with their places, far from each other."""
    first = int(np.argmax(np.linalg.norm(ours - ours.mean(axis=0), axis=1)))
    other = int(np.argmax(np.linalg.norm(ours - ours[first], axis=1)))
    said = [
        f"{known[k]} lies at ({', '.join(f'{1e3 * v:.0f}' for v in ours[k])}) mm"
        for k in (first, other)
    ]
    return ", ".join(said)


def check_names(inst: Any, account: Account) -> None:
    """Turn, replace, leave out or refuse places that the names of the electrodes contradict.

    Parameters
    ----------
    inst : mne.io.BaseRaw, mne.BaseEpochs or mne.Evoked
        All electrodes placed; changed in place.
    account : Account

    Raises
    ------
    MajorantError
        If the positions are mirrored, or names and places agree nowhere.
    """
    places = _places(inst)
    compared = _compared(places)
    if compared is None:
        return
    known, ours, system = compared
    fit = similarity(ours, system, mirrored=False)
    if not fit.fits:
        raise MajorantError(
            f"{contradiction(places)}; correct the file, or give the places with a montage "
            "(standard_1005 has these names)"
        )
    _leave_out(inst, [known[k] for k in np.flatnonzero(fit.left_mm > ELSEWHERE_MM)], account)
    if not _replace_idealised(inst, account):
        _turn(inst, fit, account)


def _places(inst: Any) -> dict[str, NDArray[np.float64]]:
    return {
        name: np.array(inst.info["chs"][inst.ch_names.index(name)]["loc"][:3], float)
        for name in eeg_names(inst)
    }


def _leave_out(inst: Any, names: list[str], account: Account) -> None:
    if not names:
        return
    inst.drop_channels(names)
    account.note(
        f"Left out, for they lie centimetres from where the 10-05 system has these names, as if "
        f"names were exchanged: {', '.join(names)}."
    )


def _turn(inst: Any, fit: Similarity, account: Account) -> None:
    """Bring positions in another frame into that of the head."""
    turned = fit.degrees > TURNED_DEG
    turn = _axes(fit.turn) if turned else np.eye(3)
    middle = np.mean(list(_places(inst).values()), axis=0)
    # Where the head's centre would come to lie, by the system, less where this turn brings it.
    offset = fit.shift / fit.scale + (fit.turn - turn) @ middle
    measured = measured_fiducials(inst.info) is not None
    shifted = 1e3 * float(np.linalg.norm(offset)) > ORIGIN_MM and (turned or not measured)
    if not turned and not shifted:
        return
    shift = offset if shifted else np.zeros(3)
    _place_anew(inst, {name: turn @ place + shift for name, place in _places(inst).items()})
    done = []
    if turned:
        first = "XYZ"[int(np.abs(fit.turn[1]).argmax())].lower()
        sign = "" if fit.turn[1][np.abs(fit.turn[1]).argmax()] > 0 else "-"
        done.append(f"turned by {fit.degrees:.0f}° (their {sign}{first} axis points to the nose)")
    if shifted:
        done.append(f"shifted by {1e3 * np.linalg.norm(offset):.0f} mm")
    account.note(
        f"The electrode positions were in another frame than MNE's, by their names: they were "
        f"{' and '.join(done)}{'' if not measured else ', and the fiducials were not used'}."
    )


def _axes(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """The turn itself, or the exchange of axes that it nearly is."""
    best, closest = turn, SNAP_DEG
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            exact = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(exact) < 0:
                continue
            cosine = (np.trace(exact.T @ turn) - 1) / 2
            degrees = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
            if degrees < closest:
                best, closest = exact, degrees
    return best


def _place_anew(inst: Any, places: Mapping[str, NDArray[np.float64]]) -> None:
    """Give electrodes places in the head frame, without fiducials."""
    import mne

    montage = mne.channels.make_dig_montage(dict(places), coord_frame="head")
    with listening(Account(), "placing electrodes"):
        inst.set_montage(montage, on_missing="ignore")


def measured_fiducials(info: Any) -> dict[str, NDArray[np.float64]] | None:
    """The fiducials, where they were measured: "lpa", "nasion" and "rpa", head frame, m.

    MNE makes fiducials up where a montage has none, on the axes at one distance from the origin;
    these say nothing of the head.
    """
    from mne.io.constants import FIFF

    marks = {FIFF.FIFFV_POINT_LPA: "lpa", FIFF.FIFFV_POINT_NASION: "nasion"}
    marks[FIFF.FIFFV_POINT_RPA] = "rpa"
    found = {
        marks[point["ident"]]: np.array(point["r"], float)
        for point in info["dig"] or ()
        if point["kind"] == FIFF.FIFFV_POINT_CARDINAL and point["ident"] in marks
    }
    if len(found) < 3:
        return None
    radius = np.linalg.norm(list(found.values()), axis=1)
    return None if radius.std() < 1e-3 * radius.mean() else found


def _replace_idealised(inst: Any, account: Account) -> bool:
    """Take the 10-05 positions for electrodes that were placed on a perfect sphere by name.

    Files of electrode names often carry positions on a sphere whose equator runs through FPz, T7
    and Oz, and no fiducials. Read literally they put the nasion at FPz, some 3 cm too high. Where
    most names belong to the 10-05 system and lie in its directions, the positions that the system
    has on a real head say more; electrodes of other names go where their neighbours went.
    Returns whether that was so.
    """
    places = _places(inst)
    if measured_fiducials(inst.info) is not None or not _on_a_sphere(np.array([*places.values()])):
        return False
    compared = _compared(places)
    if compared is None:
        return False
    known, ours, system = compared
    others = [name for name in places if name not in known]
    moved = dict(zip(known, system, strict=True))
    moved.update({name: _among(places[name], ours, system) for name in others})
    _place_standard(inst, moved)
    extra = f" ({some(others)} by their neighbours)" if others else ""
    account.note(
        "The positions lie on a perfect sphere and come without fiducials, so they are a drawing, "
        "not a measurement; the places of these names in the 10-05 system were taken instead"
        f"{extra}."
    )
    return True


def _place_standard(inst: Any, places: Mapping[str, NDArray[np.float64]]) -> None:
    """Give electrodes places in the frame of the standard montage, with its fiducials."""
    import mne

    found = _standard()
    montage = mne.channels.make_dig_montage(
        dict(places),
        nasion=found["nasion"],
        lpa=found["lpa"],
        rpa=found["rpa"],
        coord_frame=found["coord_frame"],
    )
    with listening(Account(), "placing electrodes"):
        inst.set_montage(montage, on_missing="ignore")


def _among(
    place: NDArray[np.float64],
    drawn: NDArray[np.float64],
    system: NDArray[np.float64],
    n_near: int = 6,
) -> NDArray[np.float64]:
    """Where a drawn place goes: as the nearest known ones went, by a local similarity."""
    near = np.argsort(np.linalg.norm(drawn - place, axis=1))[:n_near]
    fit = _umeyama(drawn[near], system[near], np.ones(len(near)), mirrored=False)
    return fit.scale * fit.turn @ place + fit.shift


def _on_a_sphere(places: NDArray[np.float64]) -> bool:
    radius = np.linalg.norm(places, axis=1)
    return bool(radius.std() < 1e-3 * radius.mean())
