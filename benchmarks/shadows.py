"""How often further peaks of one source are called shadows, and true second sources with them.

One or two point sources along the cortex's normal, 64 electrodes, noise of unit variance after
whitening and sources far above it; data and solver share the head.

    python -m benchmarks.shadows 100
"""

from __future__ import annotations

import sys

import mne
import numpy as np
import torch
from numpy.typing import NDArray

from majorant import SourceImager
from majorant.findings.peaks import find_peaks
from majorant.findings.shadows import SHADOW, leaked
from majorant.head.places import locate
from majorant.imager.estimate import combined
from majorant.imager.inverse import Job

TIMES = np.arange(30) / 100
LEVEL = 60.0
"""Norm of the whitened topography at a source's maximum."""
APART_MM, NEAR_MM = 50.0, 25.0


def course(centre: float) -> NDArray[np.float64]:
    return np.exp(-(((TIMES - centre) / 0.04) ** 2))


def shares(solver: str, n: int, seed: int = 0) -> dict[str, list[float]]:
    """What leakage explains of peaks that are a second source, and of peaks that are none."""
    montage = mne.channels.make_standard_montage("biosemi64")
    info = mne.create_info(montage.ch_names, 100.0, "eeg", verbose="error").set_montage(montage)
    imager = SourceImager(solver).fit(info)
    inverse, n_orient = imager.inverse, imager.leadfield_.n_orient
    kernel, gain = inverse.kernel(Job(1, 100.0, 3.0)), inverse.operator(1).matrix()
    assert kernel is not None
    assert gain is not None
    matrix = kernel.matrix[0] if kernel.matrix.ndim == 3 else kernel.matrix
    places, rng = locate(imager.leadfield_), np.random.default_rng(seed)
    found: dict[str, list[float]] = {"second source": [], "of one source": [], "of two": []}
    for k in range(2 * n):
        sources = [int(rng.integers(len(places.mni)))]
        while len(sources) <= k % 2:
            other = int(rng.integers(len(places.mni)))
            if np.linalg.norm(places.mni[other] - places.mni[sources[0]]) > APART_MM:
                sources.append(other)
        y = torch.as_tensor(rng.standard_normal((len(gain), len(TIMES))))
        for i, source in enumerate(sources):
            column = gain[:, (source + 1) * n_orient - 1].double()
            wave = torch.as_tensor(LEVEL * course((0.10, 0.13)[i]))
            y += (column / column.norm())[:, None] * wave
        values = combined((matrix.double() @ y).numpy(), imager.model, None)
        peaks = find_peaks(values, TIMES, places)
        told = leaked(matrix, gain, y, peaks, TIMES, n_orient)
        for peak, (share, _) in list(zip(peaks, told, strict=True))[1:]:
            away = min(np.linalg.norm(np.array(peak.mni) - places.mni[s]) for s in sources)
            real = "second source" if away < NEAR_MM else ("of one source", "of two")[k % 2]
            found[real].append(share)
    return found


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for solver in ("sloreta", "dspm", "eloreta", "mne"):
        parts = [
            f"{name} {np.mean(np.array(values) >= SHADOW):.2f} of {len(values)}"
            for name, values in shares(solver, n).items()
        ]
        print(f"{solver}: called shadows: {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
