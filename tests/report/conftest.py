"""Contents of pages, as a pipeline would make them: a crude head, made-up data, real geometry."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import mne
import numpy as np
import pytest
import torch

from majorant.findings.facts import Findings, Peak, SourceMaps
from majorant.forward.cortex import lobe, mni305_to_mni152
from majorant.forward.surfaces import Surfaces, read_surfaces
from majorant.problem import Certificate

ContentMaker = Callable[..., Findings]


@functools.cache
def _surfaces() -> Surfaces:
    return read_surfaces()


@pytest.fixture(scope="session")
def surfaces() -> Surfaces:
    return _surfaces()


def make_info(n_channels: int) -> mne.Info:
    """Electrodes spread over the head."""
    montage = mne.channels.make_standard_montage("easycap-M1" if n_channels <= 74 else "biosemi256")
    names = montage.ch_names
    chosen = [names[i] for i in np.linspace(0, len(names) - 1, n_channels).round().astype(int)]
    info = mne.create_info(chosen, 200.0, "eeg")
    info.set_montage(montage)
    return info


def make_content(
    *,
    n_channels: int = 60,
    n_times: int = 141,
    space: str = "ico4",
    signed: bool = True,
    iterative: bool = True,
    demo: bool = True,
    zero: bool = False,
) -> Findings:
    """Two auditory sources, then one further back; the estimate is a smoothed truth."""
    info, surf = make_info(n_channels), _surfaces()
    rng = np.random.default_rng(7)
    times = np.linspace(-0.2, 0.5, n_times) if n_times > 1 else np.array([0.1])
    n = {"ico3": 642, "ico4": 2562, "full": 10242}[space]
    hemisphere, vertices = np.repeat([0, 1], n), np.tile(np.arange(n), 2)
    positions, normals = (part[:, :n].reshape(-1, 3) for part in (surf.pial, surf.normals))
    mni = mni305_to_mni152(positions)

    seeds = [int(np.linalg.norm(mni - place, axis=1).argmin())
             for place in ((-55, -22, 8), (56, -18, 8), (12, -92, 6))]  # fmt: skip
    peaks_at, sizes = (0.092, 0.097, 0.185), (9e-9, 7.5e-9, 4e-9)
    values = np.zeros((2 * n, n_times))
    for seed, centre, size in zip(seeds, peaks_at, sizes, strict=True):
        distance = np.linalg.norm(mni - mni[seed], axis=1)
        bell = np.exp(-((distance / 22) ** 2))
        wave = np.exp(-(((times - centre) / 0.022) ** 2))
        wave -= 0.5 * np.exp(-(((times - centre - 0.07) / 0.035) ** 2))
        values += size * bell[:, None] * wave
    values *= 0.0 if zero else 1.0
    sensors = np.array([channel["loc"][:3] for channel in info["chs"]]) + np.array([0, 0, 0.02])
    ray = sensors[:, None] - positions
    gain = np.einsum("ijk,jk->ij", ray, normals) / np.linalg.norm(ray, axis=2) ** 3
    predicted = gain / (4 * np.pi * 0.3) * 0.2 @ values
    predicted -= predicted.mean(axis=0)
    noise = rng.standard_normal(predicted.shape) * (0.12 * np.abs(predicted).max() or 1e-6)
    data = predicted + noise - noise.mean(axis=0)
    explained = 1 - (data - predicted).var(axis=0) / data.var(axis=0)

    def peak(seed: int, time: float) -> Peak:
        sample = int(np.abs(times - time).argmin())
        near = np.linalg.norm(mni - mni[seed], axis=1) < 30
        energy = values[:, sample] ** 2
        return Peak(
            time=float(times[sample]),
            hemisphere=("left", "right")[hemisphere[seed]],
            lobe=lobe(mni[seed]),
            mni=tuple(float(v) for v in mni[seed]),
            location=seed,
            amplitude=float(values[seed, sample]) * (1.0 if iterative else 1e9),
            share=float(energy[near].sum() / energy.sum()),
        )

    shown = values if iterative else values * 1e9
    peaks = () if zero else tuple(peak(s, t) for s, t in zip(seeds, peaks_at, strict=True))
    return Findings(
        title="sub-01_task-oddball_eeg.fif, “standard/left”",
        info=info,
        times=times,
        data=data,
        predicted=predicted,
        explained=np.clip(explained, 0, 1),
        sources=SourceMaps(
            values=shown if signed else np.abs(shown),
            positions_mni=mni,
            hemisphere=hemisphere,
            vertices=vertices,
            unit="Am" if iterative else "sLORETA",
            signed=signed,
        ),
        peaks=peaks,
        solver={
            "name": "champagne",
            "title": "Champagne",
            "summary": "Sparse Bayesian learning.",
            "guarantee": "The evidence cost never rises; every rise would be counted.",
            "citation": "Wipf et al. (2010), doi:10.1016/j.neuroimage.2009.06.083",
        },
        certificate=make_certificate(iterative),
        decisions=(
            "Read 60 EEG channels at 200 Hz; 306 MEG channels were set aside.",
            "The average reference was applied to the data and to the lead field.",
            "The noise covariance was estimated from the baseline, −200 to 0 ms, of 112 epochs.",
        ),
        cautions=(
            "The head is a template: expect errors of a centimetre or two in addition.",
            "With 60 electrodes, sources closer than about 2 cm cannot be told apart.",
        ),
        settings={"solver": "champagne", "loose": 0.0, "snr": 3.0, "space": space},
        versions={"majorant": "0.1.0", "mne": mne.__version__, "torch": "2.13.0"},
        citations=(
            "Majorant 0.1.0.",
            "Wipf et al. (2010), doi:10.1016/j.neuroimage.2009.06.083; "
            "Cai et al. (2021), doi:10.1016/j.neuroimage.2020.117411",
            "Pascual-Marqui (2007), arXiv:0710.3341",
        ),
        truth=tuple(
            replace(p, mni=(p.mni[0] + 6, p.mni[1] - 5, p.mni[2]), location=10**6, amplitude=5e-8)
            for p in peaks[: 2 if demo else 0]
        ),
        errors={"localisation error (mm)": 7.8, "time error (ms)": 2.0} if demo else None,
    )


def make_certificate(iterative: bool) -> Certificate:
    none = torch.zeros(1, dtype=torch.int64)
    energy = torch.linspace(0, 8, 81, dtype=torch.float64).neg().exp()[:, None] * 900 - 4321.5
    return Certificate(
        energy=energy if iterative else torch.zeros(1, 1, dtype=torch.float64),
        violations=none,
        refused=none,
        halvings=none,
        fallbacks=none,
        energy_name="negative log evidence",
        bound="convex bounding" if iterative else "none",
        kind="global" if iterative else "none",
        guard="energy, window 1" if iterative else "off",
        residual=None if iterative else torch.tensor([3.2e-14], dtype=torch.float64),
    )


@pytest.fixture(scope="session")
def make() -> ContentMaker:
    return make_content
