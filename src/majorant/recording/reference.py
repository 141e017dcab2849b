"""What electrodes were recorded against, and the average reference that makes it not matter.

Against the average of all electrodes it does not matter which one electrode the others were
recorded against. It does where there are several: electrodes against the ear of their own side
share no reference, so each group is brought to its own average, by a projector that acts on data
and lead field alike; nothing is lost but the difference between the groups' averages, which the
recording never had. Differences of two neighbours (bipolar derivations) are no potentials of
electrodes at all, and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.errors import MajorantError
from majorant.recording.channels import eeg_names, some
from majorant.recording.names import matches, standard_names

__all__ = [
    "add_reference_electrodes",
    "average_reference",
    "check_compensation",
    "check_derivations",
    "check_good",
    "check_same_projectors",
    "check_same_reference",
    "has_average_reference",
    "reference_electrodes",
    "references_by_name",
    "spelled_references",
]

DERIVED = re.compile(
    r"^(?:eeg[\s_:-]*)?(?P<own>[a-z]+\d*[zh]?)\s*[-/]\s*(?P<other>[a-z][a-z0-9+]*)$"
)
"""Names such as "EEG F3-A1": an electrode, and what it was recorded against."""

FEW = 4
"""Electrodes to a reference, on average, below which names speak of bipolar derivations."""

SEEN = 1e-3
"""Share of a whitener's norm from which a direction counts as measured."""

GROUP = "EEG average of electrodes against"


def references_by_name(names: Sequence[str]) -> dict[str, str]:
    """What every electrode was recorded against, by its name.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    dict
        The reference, in lower case, of the channels whose names say one; empty where none does.
    """
    parts = {name: DERIVED.match(name.strip().casefold()) for name in names}
    found = {name: part for name, part in parts.items() if part is not None}
    known = matches([part["own"] for part in found.values()], standard_names())
    return {name: part["other"] for name, part in found.items() if part["own"] in known}


def check_derivations(inst: Any, account: Account) -> None:
    """Refuse bipolar derivations; leave out electrodes that are alone with their reference.

    Parameters
    ----------
    inst : mne.io.BaseRaw, mne.BaseEpochs or mne.Evoked
        Changed in place.
    account : Account

    Raises
    ------
    MajorantError
        If the channels are differences of neighbouring electrodes.
    """
    from mne.io.constants import FIFF

    names = eeg_names(inst)
    coil = FIFF.FIFFV_COIL_EEG_BIPOLAR
    bipolar = [
        name for name in names if inst.info["chs"][inst.ch_names.index(name)]["coil_type"] == coil
    ]
    groups = _groups(names)
    if len(groups) > 1 and len(names) < FEW * len(groups):
        bipolar = bipolar or [name for name in names if name in references_by_name(names)]
    if bipolar:
        raise MajorantError(
            f"{some(bipolar)} are bipolar derivations, the difference of two electrodes each: no "
            "average of them is a common reference, so they are not imaged; export the recording "
            "as it was recorded, against one reference (in MNE, before mne.set_bipolar_reference)"
        )
    lonely = [members[0] for members in groups.values() if len(members) == 1]
    if len(groups) > 1 and lonely:
        inst.drop_channels(lonely)
        account.note(
            f"Left out, for no other electrode shares their reference: {', '.join(lonely)}."
        )


def _groups(names: Sequence[str]) -> dict[str, list[str]]:
    """Electrodes by what they were recorded against, as far as names say so.

    An electrode that others were recorded against is one of theirs.
    """
    against = references_by_name(names)
    groups: dict[str, list[str]] = {}
    for name in names:
        itself = name.casefold() if name.casefold() in against.values() else ""
        groups.setdefault(against.get(name, itself), []).append(name)
    return groups


def spelled_references(wanted: Sequence[str], inst: Any, listed: Sequence[str]) -> tuple[str, ...]:
    """Reference electrodes as a montage spells them; refuse those that nobody places.

    Parameters
    ----------
    wanted : sequence of str
        Electrodes that are to be added as the reference.
    inst : mne.io.BaseRaw, mne.BaseEpochs or mne.Evoked
    listed : sequence of str
        Names of the montage that was given, if any.

    Raises
    ------
    MajorantError
    """
    montage = inst.get_montage()
    digitised = [] if montage is None else list(montage.ch_names)
    known = [*listed, *digitised, *standard_names()]
    spelled = {name.casefold(): name for name in reversed(known)}
    unknown = [name for name in wanted if name.casefold() not in spelled]
    if unknown:
        raise MajorantError(
            f"there is no electrode {', '.join(unknown)}, neither in the recording nor in a "
            "montage, so it cannot be added as the reference; give 'average', or the name of an "
            "electrode such as FCz"
        )
    return tuple(name if name in known else spelled[name.casefold()] for name in wanted)


def reference_electrodes(reference: str) -> tuple[str, ...]:
    """Electrodes that a setting names as the reference; none for "average"."""
    if reference.casefold() == "average":
        return ()
    return tuple(part.strip() for part in reference.split(",") if part.strip())


def add_reference_electrodes(
    inst: Any, reference: str, listed: Callable[[], Sequence[str]], account: Account
) -> tuple[Any, tuple[str, ...]]:
    """Add the electrodes that all others were recorded against, as channels of zeros.

    Parameters
    ----------
    inst : mne.io.BaseRaw, mne.BaseEpochs or mne.Evoked
    reference : str
        "average", or names with commas; those that are there are left as they are.
    listed : callable
        Returns the names of the montage that was given, if any.
    account : Account

    Returns
    -------
    inst, added

    Raises
    ------
    MajorantError
        If nobody places such an electrode, or it cannot have been the reference.
    """
    import mne

    present = {name.casefold() for name in inst.ch_names}
    added = tuple(n for n in reference_electrodes(reference) if n.casefold() not in present)
    if not added:
        return inst, ()
    added = spelled_references(added, inst, listed())
    try:
        with listening(account, "adding the reference electrode"):
            return mne.add_reference_channels(inst, list(added)), added
    except RuntimeError as error:
        raise MajorantError(
            f"{', '.join(added)} cannot have been the reference: the file is already against "
            "the average of its electrodes; leave the reference out"
        ) from error


def has_average_reference(info: Any) -> bool:
    """Whether `info` holds a projector to the average of all its good electrodes."""
    from mne.io.constants import FIFF

    return any(p["kind"] == FIFF.FIFFV_PROJ_ITEM_EEG_AVREF for p in info["projs"])


def average_reference(inst: Any, account: Account) -> None:
    """Add the projectors that bring electrodes to the average reference, where they lack.

    Where a projector of the file does not cover all electrodes (made while some were bad), those
    that it leaves against the old reference are left out.

    Parameters
    ----------
    inst : mne.io.BaseRaw, mne.BaseEpochs or mne.Evoked
        EEG to be imaged, and other types; changed in place, projectors not applied.
    account : Account
    """
    from mne.proj import make_eeg_average_ref_proj

    _cover_all(inst, account)
    names = [n for n in eeg_names(inst) if n not in inst.info["bads"]]
    groups = _groups(names)
    if len(groups) > 1:
        added = [_group_projector(r, members) for r, members in groups.items()]
        present = {p["desc"] for p in inst.info["projs"]}
        new = [p for p in added if p["desc"] not in present]
        if new:
            _with_projectors(inst, [*inst.info["projs"], *new])
            listed = "; ".join(
                f"{len(members)} against {r.upper() or 'an electrode that is not named'}"
                for r, members in groups.items()
            )
            account.note(
                f"The electrodes were recorded against several references, by their names "
                f"({listed}): each group is imaged against its own average."
            )
    if not has_average_reference(inst.info):
        projector = make_eeg_average_ref_proj(inst.info, activate=False, verbose="error")
        _with_projectors(inst, [*inst.info["projs"], projector])
    if len(groups) <= 1:
        account.note(f"Average reference over {len(names)} electrodes.")


def _with_projectors(inst: Any, projectors: Sequence[Any]) -> None:
    """Set projectors whose state of application is right as it stands."""
    with inst.info._unlock():
        inst.info["projs"] = list(projectors)
        inst.info["custom_ref_applied"] = 0


def _group_projector(reference: str, members: Sequence[str]) -> Any:
    import mne
    from mne.io.constants import FIFF

    n = len(members)
    data = {
        "nrow": 1,
        "ncol": n,
        "row_names": None,
        "col_names": list(members),
        "data": np.full((1, n), n**-0.5),
    }
    what = f"{GROUP} {reference.upper() or 'others'}"
    return mne.Projection(
        active=False, kind=FIFF.FIFFV_PROJ_ITEM_FIELD, desc=what, data=data, explained_var=None
    )


def _cover_all(inst: Any, account: Account) -> None:
    """Mend average-reference projectors that do not cover all electrodes."""
    from mne.io.constants import FIFF

    kept, names = [], [n for n in eeg_names(inst) if n not in inst.info["bads"]]
    for projector in inst.info["projs"]:
        covered = set(projector["data"]["col_names"])
        missing = [name for name in names if name not in covered]
        if projector["kind"] != FIFF.FIFFV_PROJ_ITEM_EEG_AVREF or not missing:
            kept.append(projector)
        else:
            # MNE applies projectors wherever it cuts trials, so the data are, or will be, against
            # the average of these electrodes; the others stay against the reference of before.
            kept.append(projector)
            with listening(account, "choosing channels"):
                inst.drop_channels(missing)
            account.note(
                "The file’s average-reference projector does not cover all electrodes, and those "
                f"that it leaves out stay against another: left out {', '.join(missing)}."
            )
            names = [name for name in names if name in covered]
    _with_projectors(inst, kept)


def check_same_reference(data: Any, names: Sequence[str]) -> None:
    """Refuse data whose average reference was applied to some of the channels in use.

    Parameters
    ----------
    data : mne.Info
        Of the data to be imaged.
    names : sequence of str
        Channels that were fitted.

    Raises
    ------
    MajorantError
    """
    from mne.io.constants import FIFF

    kinds = {FIFF.FIFFV_EEG_CH}
    eeg = [c["ch_name"] for c in data["chs"] if c["kind"] in kinds and c["ch_name"] in names]
    for projector in data["projs"]:
        if projector["kind"] == FIFF.FIFFV_PROJ_ITEM_EEG_AVREF and projector["active"]:
            covered = set(projector["data"]["col_names"])
            missing = [name for name in eeg if name not in covered]
            if missing:
                raise MajorantError(
                    f"the average reference that was applied to the data does not cover "
                    f"{some(missing)}, which the imager was fitted to; fit it to the info of these "
                    "data"
                )


def check_same_projectors(data: Any, names: Sequence[str], whitener: NDArray[np.float64]) -> None:
    """Refuse data from which something was projected that the imager takes for measured.

    Parameters
    ----------
    data : mne.Info
        Of the data to be imaged.
    names : sequence of str
        Channels that were fitted.
    whitener : array, shape (rank, n_channels)
        Of these; what it was fitted without it does not see.

    Raises
    ------
    MajorantError
    """
    from mne.io.constants import FIFF

    row = {name: k for k, name in enumerate(names)}
    size = float(np.linalg.norm(whitener, 2))
    for projector in data["projs"]:
        if not projector["active"] or projector["kind"] == FIFF.FIFFV_PROJ_ITEM_EEG_AVREF:
            continue
        held = projector["data"]
        used = [k for k, name in enumerate(held["col_names"]) if name in row]
        vectors = np.zeros((len(names), len(held["data"])))
        vectors[[row[held["col_names"][k]] for k in used]] = np.asarray(held["data"]).T[used]
        seen = np.linalg.norm(whitener @ vectors, axis=0)
        if (seen > SEEN * size * np.linalg.norm(vectors, axis=0)).any():
            raise MajorantError(
                f"the projector {projector['desc']!r} was applied to the data, and the imager was "
                "fitted without it; fit it to the info of these data"
            )


def check_good(data: Any, names: Sequence[str]) -> None:
    """Refuse data whose bad channels the imager would use.

    Raises
    ------
    MajorantError
    """
    bad = [name for name in names if name in data["bads"]]
    if bad:
        raise MajorantError(
            f"the data mark {some(bad)} as bad, and the imager was fitted with "
            f"{'it' if len(bad) == 1 else 'them'}; fit it to the info of these data"
        )


def check_compensation(data: Any, fitted: Any, whose: str = "the forward solution") -> None:
    """Refuse MEG whose compensation differs from that of a forward or of earlier data.

    Parameters
    ----------
    data, fitted : mne.Info
        Of the data, and of what they are to meet.
    whose : str
        What the second is, for the sentence.

    Raises
    ------
    MajorantError
        Saying how to bring the data to the other grade.
    """
    both = {n for n in data["ch_names"] if n in fitted["ch_names"]}
    has, wants = (_grades(info, both) for info in (data, fitted))
    if has == wants or not has or not wants:
        return
    have, want = (", ".join(map(str, sorted(grades))) for grades in (has, wants))
    raise MajorantError(
        f"the data have gradient compensation of grade {have} and {whose} of grade {want}; bring "
        f"the data there with raw.apply_gradient_compensation({want}), or compute the forward for "
        "these data"
    )


def _grades(info: Any, names: Collection[str]) -> set[int]:
    """Grades of compensation of channels of MEG; MNE keeps them in the type of the coil."""
    from mne.io.constants import FIFF

    return {
        int(channel["coil_type"]) >> 16
        for channel in info["chs"]
        if channel["kind"] == FIFF.FIFFV_MEG_CH and channel["ch_name"] in names
    }
