"""From the channels of a recording to what is inverted: head, orientation, whitening, checks.

The order is MNE's: channels and reference first, then the head, then orientation and depth, then
the whitener; what a solver cannot do is refused before any of it is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from majorant.account import Account
from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield
from majorant.head.find import Head, HeadRequest, find_head
from majorant.head.imported import of_recording
from majorant.head.model import SourceModel, as_tensor, source_model
from majorant.head.spaces import SourceSpace
from majorant.head.template import dressed
from majorant.imager.abilities import check_able
from majorant.imager.estimate import check_pick
from majorant.imager.inverse import Inverse
from majorant.recording.noise import AD_HOC_STD, check_covariance
from majorant.recording.sensors import check_positions, referenced, whitener

if TYPE_CHECKING:
    from majorant.imager.imager import SourceImager

__all__ = ["Fitted", "fitted"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What fitting finds.

    Attributes
    ----------
    inverse : Inverse
        Solver, lead field and whitening.
    info : mne.Info
        Channels in use, with an average-reference projector.
    noise_cov : mne.Covariance
        Of a single trial, of these channels.
    head : Head
    notes : tuple of str
        What was found and done, one sentence each.
    """

    inverse: Inverse
    info: Any
    noise_cov: Any
    head: Head
    notes: tuple[str, ...]


def fitted(
    imager: SourceImager,
    info: Any,
    forward: Any | None,
    noise_cov: Any | None,
    data_cov: Any | None,
    progress: Callable[[str], None] | None,
) -> Fitted:
    """Fit the settings of an imager to channels; see :meth:`SourceImager.fit`.

    Raises
    ------
    MajorantError
        If channels, orientation, source space and solver do not fit together.
    """
    import mne

    lead, account = None, Account()
    if isinstance(forward, Leadfield):
        lead = of_recording(forward, info, imager.spec_, imager.space, account)
        forward = dressed(lead, info)
    _check_kinds(info, forward, noise_cov, data_cov)
    check_able(imager.spec_, imager.space, forward, imager.subject, data_cov)
    only_eeg = forward is None or lead is not None
    info = referenced(info, only_eeg=only_eeg, reference=imager.reference, account=account)
    if forward is not None:
        check_positions(forward, info, account)
    if noise_cov is None:
        noise_cov = mne.make_ad_hoc_cov(info, std={"eeg": AD_HOC_STD}, verbose="error")
        account.note("No noise covariance was given; independent noise was assumed.")
    request = HeadRequest(
        imager.spec_,
        imager.space,
        imager.subject,
        imager.subjects_dir,
        imager.trans,
        imager.head,
        imager.circumference,
        imager.skull,
    )
    if lead is None:
        head = find_head(request, info, forward, progress, account)
    else:
        where = SourceSpace.of_regions(lead) if lead.kind == "regions" else None
        head = Head(forward, lead, where)
    depth = imager.spec_.abilities.depth if imager.depth == "auto" else imager.depth
    if isinstance(depth, str):
        raise MajorantError(f"depth is {depth!r}; expected 'auto', None, a number or a dict")
    model, used = source_model(
        head.forward,
        info,
        noise_cov,
        loose=imager.loose,
        depth=depth,
        leadfield=head.leadfield,
        space=head.space,
    )
    lost = [name for name in info["ch_names"] if name not in used["ch_names"]]
    if lost:
        account.note(f"Left out, for the forward or the covariance lacks them: {', '.join(lost)}.")
    inverse, cov = _whitened(imager, model, used, noise_cov, data_cov, account)
    return Fitted(inverse, used, cov, head, tuple(account.decisions))


def _check_kinds(info: Any, forward: Any, noise_cov: Any, data_cov: Any) -> None:
    """Refuse what is not of MNE's kinds, and say how to come by these."""
    import mne

    kinds = (
        ("info", info, mne.Info, "give evoked.info, or raw.info"),
        ("forward", forward, mne.Forward, "read one with mne.read_forward_solution"),
        ("noise_cov", noise_cov, mne.Covariance, "read one with mne.read_cov"),
        ("data_cov", data_cov, mne.Covariance, "compute one with mne.compute_covariance"),
    )
    for name, given, kind, how in kinds:
        if not (isinstance(given, kind) or (given is None and name != "info")):
            raise MajorantError(
                f"{name} is a {type(given).__name__}; expected an mne.{kind.__name__}: {how}"
            )


def _whitened(
    imager: SourceImager,
    model: SourceModel,
    info: Any,
    noise_cov: Any,
    data_cov: Any | None,
    account: Account,
) -> tuple[Inverse, Any]:
    """Whiten and check; returns the inverse, and the noise covariance of its channels."""
    import mne

    check_able(imager.spec_, orientation=model.orientation)
    check_pick(model, imager.pick_ori)
    names = list(info["ch_names"])
    cov = mne.pick_channels_cov(noise_cov, names, ordered=True)
    check_covariance(cov, info)
    # A location's columns cannot be told apart in fewer dimensions than there are of them.
    matrix = whitener(cov, info, imager.rank, model.leadfield.n_orient + 1)
    moment: Tensor | None = None
    if data_cov is not None:
        check_covariance(data_cov, info)
        picked = np.asarray(mne.pick_channels_cov(data_cov, names, ordered=True).data)
        moment = as_tensor(matrix @ (picked if picked.ndim == 2 else np.diag(picked)) @ matrix.T)
    inverse = Inverse(
        imager.spec_, imager.solver_options, imager.snr, model, matrix, tuple(names), moment
    )
    inverse.require()
    account.note(
        f"Whitened with rank {len(matrix)} of {len(names)} channels; data and lead field by the "
        "same matrix."
    )
    return inverse, cov
