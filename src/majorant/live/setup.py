"""From the channels of a stream to a fitted imager, before the first sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from majorant.account import Account, silent
from majorant.errors import MajorantError
from majorant.head.model import read_forward
from majorant.imager.imager import SourceImager
from majorant.recording.channels import check_samples, set_types_by_name
from majorant.recording.electrodes import settle
from majorant.recording.noise import read_covariance
from majorant.recording.settings import Preparation

__all__ = ["fitted", "looked_at", "stream_names"]


def fitted(
    imager: SourceImager,
    info: Any,
    *,
    montage: str | None = None,
    bads: tuple[str, ...] = (),
    noise_cov: str | None = None,
    forward: str | None = None,
    say: Callable[[str], None] = silent,
) -> tuple[SourceImager, list[str]]:
    """Fit an imager to a stream's electrodes.

    Parameters
    ----------
    imager : SourceImager
    info : mne.Info
        Of the stream.
    montage, noise_cov, forward : str or None
        As for recordings.
    bads : tuple of str
    say : callable

    Returns
    -------
    imager : SourceImager
    names : list of str
        Of the stream's channels, in the order of the imager.

    Raises
    ------
    MajorantError
        If channels, places or settings do not fit together.
    """
    import mne

    account = Account(say)
    raw: Any = mne.io.RawArray(np.zeros((len(info["ch_names"]), 1)), info, verbose="error")
    set_types_by_name(raw, account)
    if "eeg" not in raw.get_channel_types():
        kinds = ", ".join(sorted(set(raw.get_channel_types())))
        raise MajorantError(f"the stream has no EEG channels (it has {kinds}); name another")
    renamed = settle(raw, Preparation(montage=montage, bads=tuple(bads)), account)
    raw.pick("eeg", exclude=[], verbose="error")
    cov = None if noise_cov is None else read_covariance(Path(noise_cov), renamed, account)
    imager.fit(raw.info, None if forward is None else read_forward(forward), cov)
    for sentence in imager.notes_:
        account.note(sentence)
    old = {new: name for name, new in renamed.items()}
    used: list[str] = list(imager.info_["ch_names"])
    return imager, [old.get(name, name) for name in used]


def stream_names(imager: SourceImager, info: Any) -> list[str]:
    """Channels of a stream that an imager, fitted before, was made for.

    Raises
    ------
    MajorantError
        If some are missing.
    """
    names = list(imager.info_["ch_names"])
    missing = [name for name in names if name not in info["ch_names"]]
    if missing:
        raise MajorantError(
            f"the stream lacks {', '.join(missing[:8])}, which the imager was fitted to; fit one "
            "to this stream's channels"
        )
    return names


def looked_at(names: list[str]) -> Callable[[Any], None]:
    """What judges the first second of a stream: NaN, flat channels, another unit.

    Offsets of the amplifier are no reason: the filter removes them.
    """

    def look(data: Any) -> None:
        try:
            check_samples(data - data.mean(axis=1, keepdims=True), names)
        except MajorantError as mistake:
            raise MajorantError(f"in the first second of the stream {mistake}") from mistake

    return look
