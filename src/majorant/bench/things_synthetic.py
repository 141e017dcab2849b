"""A participant of THINGS-EEG2 that never was: the same files, and sources that are known.

A patch of occipital cortex answers every image 100 ms after its onset; the strength depends on the
image. Sensors have noise of their own, heteroscedastic and without memory, so that averages of
``n`` repetitions have noise variances that fall as ``1/n``. Potentials are against Fz, as recorded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from majorant.bench.things_file import TARGET, ThingsSession, write_session
from majorant.bench.things_trials import REFERENCE
from majorant.forward.cortex import grow_patch, lobe, mni305_to_mni152
from majorant.forward.template import template_leadfield
from majorant.problem import MajorantError
from majorant.randomness import takes_rng

ELECTRODES = (
    *("Fp1", "F3", "F7", "FT9", "FC5", "FC1", "C3", "T7", "TP9", "CP5", "CP1", "Pz", "P3", "P7"),
    *("O1", "Oz", "O2", "P4", "P8", "TP10", "CP6", "CP2", "Cz", "C4", "T8", "FT10", "FC6", "FC2"),
    *("F4", "F8", "Fp2", "AF7", "AF3", "AFz", "F1", "F5", "FT7", "FC3", "FCz", "C1", "C5", "TP7"),
    *("CP3", "P1", "P5", "PO7", "PO3", "POz", "PO4", "PO8", "P6", "P2", "CPz", "CP4", "TP8", "C6"),
    *("C2", "FC4", "FT8", "F6", "F2", "AF4", "AF8"),
)
"""The 63 electrodes, in the order of the files."""

SFREQ, SPACING = 1000.0, 200
"""Hz, and samples between onsets."""


@takes_rng
@dataclass(frozen=True)
class SyntheticSettings:
    """What is made.

    Attributes
    ----------
    n_images, n_repetitions, n_sessions : int
    moment : float
        Of the whole patch at its peak, A m.
    latency, width : float
        Of the response, s.
    noise : float
        Standard deviation of a typical electrode, V.
    spread : float
        Deviation of the logarithm of the noise variances.
    seed : int
    """

    n_images: int = 8
    n_repetitions: int = 20
    n_sessions: int = 1
    moment: float = 30e-9
    latency: float = 0.105
    width: float = 0.012
    noise: float = 5e-6
    spread: float = 0.6
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.n_images, self.n_repetitions, self.n_sessions) < 1:
            raise MajorantError("images, repetitions and sessions are at least 1 each")


def write_synthetic(
    folder: str | os.PathLike[str], settings: SyntheticSettings | None = None
) -> list[Path]:
    """Write a participant.

    Parameters
    ----------
    folder : path
        Becomes ``ses-01/raw_eeg_test.npy``, ...
    settings : SyntheticSettings, optional

    Returns
    -------
    list of Path
    """
    s = settings or SyntheticSettings()
    topography = _topography()
    return [
        write_session(
            Path(folder) / f"ses-{k + 1:02d}" / "raw_eeg_test.npy", _session(s, k, topography)
        )
        for k in range(s.n_sessions)
    ]


def _topography() -> NDArray[np.float64]:
    """Potential of a unit moment on an occipital patch, against Fz, shape (63,)."""
    lead = template_leadfield(
        "standard_1005", space="ico3", fixed=True, ch_names=[*ELECTRODES, REFERENCE]
    )
    places = mni305_to_mni152(lead.positions.numpy())
    near = np.linalg.norm(places - np.array([10.0, -92.0, 2.0]), axis=1)
    near[[lobe(place) != "occipital" for place in places]] = np.inf
    patch = grow_patch(lead, int(near.argmin()), 1).numpy()
    patch = grow_patch(lead, int(near.argmin()), 1)
    rows = lead.gain.numpy()[:, patch].mean(axis=1)
    order = [lead.ch_names.index(name) for name in ELECTRODES]
    return rows[order] - rows[lead.ch_names.index(REFERENCE)]


def _session(s: SyntheticSettings, number: int, topography: NDArray[np.float64]) -> ThingsSession:
    rng = np.random.default_rng([s.seed, number])
    shown = np.tile(np.arange(1, s.n_images + 1), s.n_repetitions)
    n_targets = max(1, len(shown) // 20)
    order = rng.permutation(np.concatenate([shown, np.full(n_targets, TARGET)]))
    onsets = 500 + SPACING * np.arange(len(order))
    length = int(onsets[-1]) + 1000
    strength = np.random.default_rng(s.seed).uniform(0.7, 1.3, s.n_images)
    lag = np.arange(SPACING) / SFREQ
    wave = s.moment * np.exp(-0.5 * ((lag - s.latency) / s.width) ** 2)
    course = np.zeros(length)
    stim = np.zeros(length, dtype=np.int64)
    for onset, code in zip(onsets, order, strict=True):
        stim[onset] = code
        course[onset : onset + SPACING] += wave * (1.0 if code == TARGET else strength[code - 1])
    deviation = s.noise * np.exp(
        0.5 * s.spread * np.random.default_rng([s.seed, 99]).standard_normal(len(topography))
    )
    data = topography[:, None] * course
    data += deviation[:, None] * rng.standard_normal((len(topography), length))
    return ThingsSession(data, stim, ELECTRODES, SFREQ)
