"""Make spikes.png: ``python docs/images/spikes.py`` (needs chromium and playwright).

Simulates three minutes with 30 spikes on the template (64 electrodes): each begins in the left
superior temporal cortex and spreads to the parietal cortex above, 20 ms later. They are marked in a
table as BIDS has it, with 5 ms of a human's unsteadiness, imaged as docs/spikes.md says, and the
report is photographed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import mne
import numpy as np
from rhythms import imaged, photograph

from majorant import SourceImager
from majorant.head.places import locate

SFREQ, SECONDS, COUNT = 500.0, 180.0, 30
FIRST, THEN, SIZE_MM = (-60.0, -20.0, 0.0), (-45.0, -45.0, 48.0), 12.0


def spiking(file: Path, marks: Path, seed: int = 0) -> None:
    """Write the recording and the table of its marks."""
    rng, n_times = np.random.default_rng(seed), round(SFREQ * SECONDS)
    montage = mne.channels.make_standard_montage("biosemi64")
    info = mne.create_info(montage.ch_names, SFREQ, "eeg", verbose="error")
    info.set_montage(montage)
    lead = SourceImager("mne", space="ico3", loose=0).fit(info).leadfield_
    mni, gain = locate(lead).mni, lead.gain.numpy()
    frequencies = np.fft.rfftfreq(n_times, 1 / SFREQ)
    noise = rng.standard_normal((2, len(mni), len(frequencies)))
    pink = (noise[0] + 1j * noise[1]) / np.sqrt(np.maximum(frequencies, 1))
    sources = np.fft.irfft(pink, n_times)
    sources *= 3e-9 / sources.std(axis=1, keepdims=True)
    onsets = np.linspace(3, SECONDS - 3, COUNT) + rng.uniform(-1, 1, COUNT)
    time = np.arange(n_times) / SFREQ
    for place, late, amount in ((FIRST, -0.02, 500e-9), (THEN, 0.0, 300e-9)):
        patch = np.linalg.norm(mni - place, axis=1) < SIZE_MM
        course = sum(np.exp(-0.5 * ((time - t - late) / 0.010) ** 2) for t in onsets)
        sources[patch] += amount * course / patch.sum()
    data = gain @ sources
    data += 0.5e-6 * rng.standard_normal(data.shape)
    mne.io.RawArray(data, info, verbose="error").save(file, verbose="error")
    lines = [f"{t + 0.005 * rng.standard_normal():.4f}\t0\tspike" for t in onsets]
    marks.write_text("\n".join(["onset\tduration\ttrial_type", *lines]) + "\n", "utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file, marks = Path(folder) / "sleep_raw.fif", Path(folder) / "sleep_events.tsv"
        spiking(file, marks)
        out = Path(folder) / "out"
        imaged(
            "image", str(file), "--events-from", str(marks), "--event", "spike", "--spikes",
            "--dipole", "--quiet", "--out", str(out),
        )  # fmt: skip
        photograph({"spikes": (out / "report.html", "#spikes")})
