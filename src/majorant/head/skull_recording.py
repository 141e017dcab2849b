"""A recording asked about its skull: windows and rest of the data, a bank for its electrodes.

Learning from simulated recordings takes a minute; what was learned for the same electrodes, windows
and ratios is kept in the cache folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.files.archive import content_hash
from majorant.files.cache import Cache, Content
from majorant.forward.bank import HeadBank
from majorant.forward.electrodes import align, digitised_electrodes
from majorant.forward.template import template_head
from majorant.head.elsewhere import template_heads_around
from majorant.head.individual import bare_info
from majorant.head.skull import (
    Heard,
    SkullGrid,
    SkullSaid,
    calibrated,
    hear,
    simulate_recording,
    skull_grid,
    smoothing,
)
from majorant.head.template import electrode_places
from majorant.problem import MajorantError
from majorant.recording.file import load_recording

__all__ = ["Listened", "ask", "listen", "listen_to", "skull_of"]

MOST, FEWEST = 60, 12
"""Windows that are taken, and needed."""
N_TIMES, APART_S = 20, 0.08
LONGEST_S = 300.0
BAND = (1.0, 40.0)
SNR_DB = (-5.0, 30.0)
VERSION = 1
Array = NDArray[np.float64]
Progress = Callable[[str], None] | None


@dataclass(frozen=True, eq=False)
class Listened:
    """What of a recording is asked about the skull.

    Attributes
    ----------
    windows : array, shape (n_windows, n_electrodes, N_TIMES)
    snr_db : array, shape (n_windows,)
    moment : array, shape (n_electrodes, n_electrodes)
    noise : float
        Its share of noise.
    """

    windows: Array
    snr_db: Array
    moment: Array
    noise: float


def listen(data: Array, sfreq: float) -> Listened:
    """Cut windows around the strongest peaks of the global field power.

    Parameters
    ----------
    data : array, shape (n_electrodes, n_times)
    sfreq : float
        Hz.

    Raises
    ------
    MajorantError
        If there are too few peaks, or nothing but zeros.
    """
    data = data - data.mean(axis=0)
    data = data - data.mean(axis=1, keepdims=True)
    n, half = len(data), N_TIMES // 2
    power = (data**2).mean(axis=0)
    peaks = 1 + np.flatnonzero((power[1:-1] > power[:-2]) & (power[1:-1] >= power[2:]))
    peaks = peaks[(peaks >= half) & (peaks + half <= data.shape[1])]
    chosen: list[int] = []
    for peak in peaks[np.argsort(-power[peaks])].tolist():
        if all(abs(peak - other) >= max(APART_S * sfreq, half) for other in chosen):
            chosen.append(peak)
        if len(chosen) == MOST:
            break
    if len(chosen) < FEWEST:
        raise MajorantError(
            f"the recording has {len(chosen)} peaks of the field to go by; at least {FEWEST} are "
            "needed, so give a longer one"
        )
    moment = data @ data.T / data.shape[1]
    sizes = np.linalg.eigvalsh(moment)[1:]
    level = float(np.median(sizes[: len(sizes) // 2]))
    if not level > 0:
        raise MajorantError("the recording has no noise to judge its signal by; give it unrounded")
    windows = np.stack([data[:, peak - half : peak + half] for peak in chosen])
    ratio = (windows**2).sum(axis=1).mean(axis=1) / ((n - 1) * level) - 1
    snr = np.clip(10 * np.log10(np.maximum(ratio, 1e-3)), *SNR_DB)
    noise = min(max((n - 1) * level / float(np.trace(moment)), 1e-3), 0.9)
    return Listened(windows, snr, moment, noise)


def skull_of(
    file: Path,
    montage: str | None,
    *,
    n: int = 40,
    account: Account | None = None,
    progress: Progress = None,
) -> SkullSaid:
    """Ask a recording about the skull of its head.

    Parameters
    ----------
    file : Path
        Continuous data are filtered to 1 to 40 Hz, and five minutes at most are taken.
    montage : str or None
        Where the file has no places.
    n : int
        Recordings that are simulated to learn from, about a second each.
    account : Account, optional
        Takes what is decided.
    progress : callable, optional
        Called with a line of text for every step that takes time.

    Raises
    ------
    MajorantError
        If it cannot be read, or is too short.
    """
    account = account or Account()
    recording = load_recording(file, account.say)
    data = recording.data[0] if recording.kind == "evoked" else recording.data
    info = bare_info(data, montage, file.name, account)
    places, fiducials = electrode_places(info)
    placed = align(digitised_electrodes(places, fiducials), template_head(progress=progress))
    around = template_heads_around(placed.ch_names, placed.positions, None, 1.0, progress)
    return ask(around, listen_to(data, list(info["ch_names"])), n=n, progress=progress)


def listen_to(data: Any, names: list[str]) -> Listened:
    """Cut windows from data of MNE.

    Parameters
    ----------
    data : mne.io.BaseRaw, mne.BaseEpochs or mne.Evoked
        Continuous data are filtered to 1 to 40 Hz, and five minutes at most are taken.
    names : list of str
        Channels, in the order that is wanted.

    Raises
    ------
    MajorantError
        If the data are too short, or lack a channel.
    """
    lost = [name for name in names if name not in data.ch_names]
    if lost:
        raise MajorantError(f"the data have no channel {', '.join(lost[:4])}; give those imaged")
    return listen(_samples(data, names), float(data.info["sfreq"]))


def ask(bank: HeadBank, heard: Listened, *, n: int = 40, progress: Progress = None) -> SkullSaid:
    """Ask windows about the skull of the head that they were recorded on.

    Parameters
    ----------
    bank : HeadBank
        Heads around the believed one, with the electrodes of the windows.
    heard : Listened
    n : int
        Recordings that are simulated to learn from.
    progress : callable, optional
        Called with a line of text for every step that takes time.
    """
    bank = bank.in_space("ico3")
    grid = skull_grid(bank)
    learned = _learned(bank, grid, heard, n, progress)
    windows, moment = torch.from_numpy(heard.windows), torch.from_numpy(heard.moment)
    return calibrated(learned).says(hear(grid, windows, moment, heard.noise))


def _learned(
    bank: HeadBank, grid: SkullGrid, heard: Listened, n: int, progress: Progress
) -> list[Heard]:
    """What simulated recordings like this one say, from the cache where it was asked before."""
    key = [bank.ch_names, bank.electrodes.round(5).tolist(), bank.anatomy.shells.round(5).tolist()]
    key += [heard.snr_db.round(1).tolist(), round(heard.noise, 3), bank.skull, n]

    def build() -> Content:
        mix, found = smoothing(bank), []
        for k, head in enumerate(bank.iterate(n, 1)):
            if progress is not None and k % 10 == 0:
                progress(f"Recordings simulated to learn from: {k} of {n}")
            own = simulate_recording(grid, head, mix, heard.snr_db, N_TIMES, heard.noise, k)
            found.append(torch.from_numpy(np.r_[own.windows, own.rest, own.skull or 0.0]))
        return {"heard": torch.stack(found)}, {}

    kept = Cache(progress).get("skull", VERSION, content_hash(key), build)[0]["heard"].numpy()
    n_skulls = len(grid.moments)
    return [Heard(row[:n_skulls], row[n_skulls:-1], float(row[-1])) for row in kept]


def _samples(data: Any, names: list[str]) -> Array:
    """Samples of some channels, trials one after the other, (n_electrodes, n_times)."""
    import mne

    picks = [data.ch_names.index(name) for name in names]
    if isinstance(data, mne.io.BaseRaw):
        stop = min(len(data.times), int(LONGEST_S * float(data.info["sfreq"])))
        found = np.asarray(data[picks, :stop][0], dtype=np.float64)
        with listening(Account(), "filtering"):
            return mne.filter.filter_data(found, data.info["sfreq"], *BAND, verbose="error")
    trials = isinstance(data, mne.BaseEpochs)
    values = data.get_data()[..., picks, :] if trials else data.data[picks]
    return np.concatenate(list(values), axis=-1) if trials else values
