"""The electrodes of a recording, settled: typed, placed, marked and checked, in this order.

The one chain through which every door goes: averages, continuous data, streams, audits and
`SourceImager.fit`. A second time it finds nothing to do and says nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from majorant.account import Account, listening
from majorant.errors import MajorantError
from majorant.recording.channels import (
    FEWEST,
    eeg_names,
    interpolate_bads,
    mark_bads,
    require_eeg,
    set_types_by_name,
    too_few,
)
from majorant.recording.montage import check_places, place, read_montage
from majorant.recording.noise import covariance_bads
from majorant.recording.reference import (
    average_reference,
    check_derivations,
    has_average_reference,
)
from majorant.recording.settings import Preparation
from majorant.recording.system import check_names

__all__ = ["settle", "settled_info"]


def settle(
    inst: Any, settings: Preparation, account: Account, *, placed: bool = True
) -> dict[str, str]:
    """Settle which channels are electrodes, and where they are.

    Parameters
    ----------
    inst : mne.io.BaseRaw, mne.BaseEpochs or mne.Evoked
        Changed in place.
    settings : Preparation
        Montage, bad channels and interpolation are read of it.
    account : Account
    placed : bool
        Whether electrodes need places of their own: a forward solution brings its own.

    Returns
    -------
    dict
        New names by old ones, where channels were renamed.

    Raises
    ------
    MajorantError
        If no electrode has a place, names and places contradict each other, the channels are
        bipolar derivations, or fewer than eight electrodes are left.
    """
    set_types_by_name(inst, account)
    # Names such as "Fp1-F7" are in no montage, and that is not what is wrong with them.
    check_derivations(inst, account)
    renamed: dict[str, str] = {}
    if settings.montage is not None:
        renamed = place(inst, read_montage(settings.montage), account)
    unknown = covariance_bads(settings.noise_cov, inst.ch_names, renamed, account)
    mark_bads(inst, (*settings.bads, *unknown), account, interpolate=settings.interpolate)
    if placed:
        check_places(inst, account)
        check_names(inst, account)
        interpolate_bads(inst, account)
        names = eeg_names(inst)
        if len(names) - sum(name in inst.info["bads"] for name in names) < FEWEST:
            raise too_few([name for name in names if name not in inst.info["bads"]])
    return renamed


def settled_info(
    info: Any,
    account: Account,
    *,
    meg: bool = False,
    placed: bool = True,
    reference: str | None = "average",
) -> Any:
    """Settle channels of which no data are at hand, and bring them to the average reference.

    Parameters
    ----------
    info : mne.Info
    account : Account
    meg : bool
        Whether MEG is inverted, too; the template head has no sensors of it.
    placed : bool
        Whether electrodes need places of their own; a forward solution brings its own.
    reference : "average" or None
        Whether an average-reference projector is added where the EEG has none.

    Returns
    -------
    mne.Info
        Of the channels to invert.

    Raises
    ------
    MajorantError
        As :func:`settle`; or if no projector is there and none may be added.
    """
    import mne

    without: Any = False
    nothing: Any = ()
    kinds = "EEG or MEG" if meg else "EEG"
    picks = mne.pick_types(info, meg=meg, eeg=True, ref_meg=without, exclude=nothing)
    if len(picks) == 0 or all(info["ch_names"][k] in info["bads"] for k in picks):
        raise MajorantError(
            f"there are no good {kinds} channels to image; check types and bads of the info"
        )
    picked = mne.pick_info(info, picks)
    if not meg:
        require_eeg(info.get_channel_types(), account)
    with listening(account, "choosing channels"):
        bare = mne.EvokedArray(np.zeros((len(picks), 1)), picked, verbose="error")
    has_eeg = "eeg" in bare.get_channel_types()
    if has_eeg:
        settle(bare, Preparation(), account, placed=placed)
    if bare.info["bads"]:
        account.note(f"Left out as bad: {', '.join(bare.info['bads'])}.")
        bare.drop_channels(bare.info["bads"])
    kept = [k in ("eeg", "mag", "grad") for k in bare.get_channel_types()]
    bare.pick([name for name, keep in zip(bare.ch_names, kept, strict=True) if keep])
    if not has_eeg:
        return bare.info
    if reference is None and not has_average_reference(bare.info):
        raise MajorantError(
            "the EEG has no average-reference projector, and its lead field is against infinity; "
            "add one with inst.set_eeg_reference('average', projection=True), or let "
            "reference='average' do it"
        )
    average_reference(bare, account)
    return bare.info
