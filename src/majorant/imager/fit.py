"""From the channels of a recording to what is inverted: head, orientation, whitening, checks.

The order is MNE's: channels and reference first, then the head, then orientation and depth, then
the whitener; what a solver cannot do is refused before any of it is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from majorant.account import Account
from majorant.errors import MajorantError
from majorant.forward.bank import HeadBank
from majorant.forward.leadfield import Leadfield
from majorant.head.elsewhere import gains_elsewhere, mean_over_heads, spread_around
from majorant.head.find import Head, HeadRequest, find_head
from majorant.head.imported import of_recording
from majorant.head.model import SourceModel, as_tensor, source_model
from majorant.head.skull import SkullSaid
from majorant.head.skull_recording import Listened, ask, listen_to
from majorant.head.spaces import SourceSpace
from majorant.head.template import child_of, dressed
from majorant.imager.abilities import check_able, check_heads
from majorant.imager.estimate import check_pick
from majorant.imager.inverse import Inverse
from majorant.imager.settings import ImagerSettings
from majorant.recording.channels import MEG
from majorant.recording.electrodes import settled_info
from majorant.recording.noise import check_covariance, default_covariance
from majorant.recording.prepare import Prepared, measured
from majorant.recording.rank import (
    check_within,
    data_space,
    interpolated,
    projection,
    say_interpolated,
)
from majorant.recording.reference import check_compensation
from majorant.recording.sensors import check_positions, whitener
from majorant.recording.trials import data_covariance

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
    skull : SkullSaid or None
        What the recording says about the skull, where there are several heads and it was asked.
    """

    inverse: Inverse
    info: Any
    noise_cov: Any
    head: Head
    notes: tuple[str, ...]
    skull: SkullSaid | None = None


def fitted(
    settings: ImagerSettings,
    info: Any,
    forward: Any | None,
    noise_cov: Any | None,
    data_cov: Any | None,
    progress: Callable[[str], None] | None,
    recording: Any | None = None,
) -> Fitted:
    """Fit the settings of an imager to channels; see :meth:`SourceImager.fit`.

    Raises
    ------
    MajorantError
        If channels, orientation, source space and solver do not fit together.
    """
    account = Account()
    lead = forward if isinstance(forward, Leadfield) else None
    forward = None if lead is not None else forward
    _check_kinds(info, forward, noise_cov, data_cov)
    if lead is not None:
        channels = info if _is_info(info) else info.info
        lead = of_recording(lead, channels, settings.spec, settings.space, account)
        forward = dressed(lead, channels)
    check_able(settings.spec, settings.space, forward, settings.subject, data_cov)
    check_heads(settings.heads, forward is not None or settings.subject is not None)
    if recording is None and not _is_info(info):
        recording = info
    meg = _inverts_meg(info if _is_info(info) else info.info, forward)
    asked = settings.rank
    if not _is_info(info):
        data, info = info, info.info
        if "eeg" in data.get_channel_types() and not meg:
            prepared = measured(data, account, noise_cov, asked, settings.lone)
            asked, info, noise_cov = None, prepared.evoked.info, prepared.noise_cov
            if settings.spec.abilities.adaptive and data_cov is None:
                data_cov = _of_trials(prepared, account)
    placed = forward is None or lead is not None
    given = info
    info = settled_info(info, account, meg=meg, placed=placed, reference=settings.reference)
    if forward is not None:
        check_compensation(info, forward["info"])
        _check_cap(forward, info, given, account)
    check_within(asked, info)
    if noise_cov is None:
        noise_cov = default_covariance(info, account, "none was given")
    elif placed and settings.rank is None:
        info = _without_sums(info, noise_cov, account)
    head = _given(lead, forward) or find_head(_request(settings), info, forward, progress, account)
    model, used = source_model(
        head.forward,
        info,
        noise_cov,
        loose=settings.loose,
        depth=_depth(settings),
        leadfield=head.leadfield,
        space=head.space,
    )
    lost = [name for name in info["ch_names"] if name not in used["ch_names"]]
    if lost:
        account.note(f"Left out, for the forward or the covariance lacks them: {', '.join(lost)}.")
    said = None
    if settings.heads > 1:
        around = _Around(settings, head, tuple(used["ch_names"]), account, progress)
        model, said = around.averaged(model, recording)
    inverse, cov = _whitened(settings, model, used, noise_cov, data_cov, account)
    return Fitted(inverse, used, cov, head, tuple(account.decisions), said)


@dataclass(frozen=True, eq=False)
class _Around:
    """Heads around the believed one, for the channels of a recording."""

    settings: ImagerSettings
    head: Head
    names: tuple[str, ...]
    account: Account
    progress: Callable[[str], None] | None

    def averaged(
        self, model: SourceModel, recording: Any | None
    ) -> tuple[SourceModel, SkullSaid | None]:
        """The model with the mean lead field, and what the recording says about the skull."""
        alignment = self.head.alignment
        assert self.head.around is not None
        assert alignment is not None
        bank, digitised = self.head.around().pick(self.names), alignment.by == "warp"
        windows = self._windows(recording)
        said = None if windows is None else self._asked(bank, windows)
        spread = spread_around(bank, digitised)
        spread = spread if said is None else said.weighted(spread)
        found = gains_elsewhere(bank, model, list(self.names), self.settings.heads - 1, spread)
        size = 1.0 if digitised else alignment.size or 1.0
        data = None if windows is None else torch.from_numpy(windows.windows)
        made = mean_over_heads(model.leadfield, tuple(gain / size**2 for gain in found), data)
        skulls = (
            f"skulls of {spread.skull[0]:.4f} to {spread.skull[1]:.4f} S/m"
            if spread.said is None
            else "skulls as likely as the recording makes them"
        )
        how = (
            "all alike"
            if windows is None
            else f"weighed by {len(windows.windows)} windows of the recording: as good as "
            f"{made.effective:.1f} that count alike, the believed one {100 * made.weights[0]:.0f} %"
        )
        self.account.note(
            f"The lead field is the mean over {len(made.weights)} heads: the believed one, and "
            f"others with {skulls}, electrodes up to {spread.moved_mm[1]:g} mm elsewhere and "
            f"another cortex; {how}."
        )
        return replace(model, leadfield=replace(model.leadfield, gain=made.gain)), said

    def _windows(self, recording: Any | None) -> Listened | None:
        """Windows of the recording around peaks of its field."""
        reason = "no data were given"
        if recording is not None:
            try:
                return listen_to(recording, list(self.names))
            except MajorantError as error:
                reason = str(error)
        self.account.note(f"The recording was not asked about the head: {reason}.")
        return None

    def _asked(self, bank: HeadBank, windows: Listened) -> SkullSaid | None:
        """What the recording says about the skull, unless that was said by others."""
        if self.settings.skull is not None or child_of(self.settings.age) is not None:
            self.account.note(
                "The recording was not asked about the skull: its conductivity was given, or is "
                "that of the age."
            )
            return None
        said = ask(bank, windows, progress=self.progress)
        self.account.note(said.sentence())
        return said


def _given(lead: Leadfield | None, forward: Any) -> Head | None:
    """The head of a lead field that was given."""
    if lead is None:
        return None
    where = SourceSpace.of_regions(lead) if lead.kind == "regions" else None
    return Head(forward, lead, where)


def _request(settings: ImagerSettings) -> HeadRequest:
    """What is asked of the head."""
    s = settings
    return HeadRequest(
        s.spec, s.space, s.subject, s.subjects_dir, s.trans, s.head, s.circumference, s.skull, s.age
    )


def _depth(settings: ImagerSettings) -> Any:
    """How deep sources are weighted."""
    depth = settings.spec.abilities.depth if settings.depth == "auto" else settings.depth
    if isinstance(depth, str):
        raise MajorantError(f"depth is {depth!r}; expected 'auto', None, a number or a dict")
    return depth


def _check_cap(forward: Any, info: Any, given: Any, account: Account) -> None:
    """Refuse a forward of other electrodes, but not one that was made for them as they settle.

    Electrodes whose frame contradicts their names are placed anew where a forward is made here, and
    are left as they are where one is given.
    """
    try:
        check_positions(forward, info, account)
    except MajorantError as error:
        try:
            check_positions(forward, settled_info(given, Account()), account)
        except MajorantError:
            raise error from None
        account.note("The forward solution is that of the electrodes as they are placed here.")


def _is_info(given: Any) -> bool:
    import mne

    return isinstance(given, mne.Info)


def _of_trials(prepared: Prepared, account: Account) -> Any | None:
    """What a beamformer adapts to, where there are trials."""
    found = data_covariance(prepared)
    if found is None:
        return None
    account.note(found[1])
    return found[0]


def _inverts_meg(info: Any, forward: Any | None) -> bool:
    """Whether a forward has sensors of MEG that the data have, too."""
    if forward is None:
        return False
    kinds = dict(zip(info["ch_names"], info.get_channel_types(), strict=True))
    return any(kinds.get(name) in MEG for name in forward["sol"]["row_names"])


def _without_sums(info: Any, noise_cov: Any, account: Account) -> Any:
    """Leave electrodes out that the covariance shows to be sums of others."""
    import mne

    values = np.asarray(noise_cov["data"], float)
    if values.ndim == 1 or not set(info["ch_names"]) <= set(noise_cov["names"]):
        return info
    cov = mne.pick_channels_cov(noise_cov, list(info["ch_names"]), ordered=True)
    project = projection(info)
    moment = project @ np.asarray(cov["data"], float) @ project.T
    if not np.isfinite(moment).all():
        return info
    sums = interpolated(moment, data_space(moment, info, np.inf), info)
    if not sums:
        return info
    say_interpolated(sums, account)
    kept = [k for k, name in enumerate(info["ch_names"]) if name not in sums]
    return mne.pick_info(info, kept)


def _check_kinds(info: Any, forward: Any, noise_cov: Any, data_cov: Any) -> None:
    """Refuse what is not of MNE's kinds, and say how to come by these."""
    import mne

    data = (mne.Evoked, mne.BaseEpochs, mne.io.BaseRaw)
    kinds = (
        ("info", info, (mne.Info, *data), "give evoked.info, or the data themselves"),
        ("forward", forward, mne.Forward, "read one with mne.read_forward_solution"),
        ("noise_cov", noise_cov, mne.Covariance, "read one with mne.read_cov"),
        ("data_cov", data_cov, mne.Covariance, "compute one with mne.compute_covariance"),
    )
    for name, given, kind, how in kinds:
        if not (isinstance(given, kind) or (given is None and name != "info")):
            raise MajorantError(
                f"{name} is a {type(given).__name__}; expected an mne.{_name(kind)}: {how}"
            )


def _name(kind: type | tuple[type, ...]) -> str:
    return kind[0].__name__ if isinstance(kind, tuple) else kind.__name__


def _whitened(
    settings: ImagerSettings,
    model: SourceModel,
    info: Any,
    noise_cov: Any,
    data_cov: Any | None,
    account: Account,
) -> tuple[Inverse, Any]:
    """Whiten and check; returns the inverse, and the noise covariance of its channels."""
    import mne

    check_able(settings.spec, orientation=model.orientation)
    check_pick(model, settings.pick_ori)
    names = list(info["ch_names"])
    cov = mne.pick_channels_cov(noise_cov, names, ordered=True)
    check_covariance(cov, info)
    # A location's columns cannot be told apart in fewer dimensions than there are of them.
    matrix = whitener(cov, info, settings.rank, model.leadfield.n_orient + 1)
    moment: Tensor | None = None
    if data_cov is not None:
        check_covariance(data_cov, info)
        picked = np.asarray(mne.pick_channels_cov(data_cov, names, ordered=True).data)
        moment = as_tensor(matrix @ (picked if picked.ndim == 2 else np.diag(picked)) @ matrix.T)
    inverse = Inverse(
        settings.spec, settings.options, settings.snr, model, matrix, tuple(names), moment
    )
    inverse.require()
    account.note(
        f"Whitened with rank {len(matrix)} of {len(names)} channels; data and lead field by the "
        "same matrix."
    )
    return inverse, cov
