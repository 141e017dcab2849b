"""A demonstration: an evoked response whose sources are known, through the same path as any other.

Two patches of cortex are active one after the other; 90 electrodes of the template record them with
the background activity of the rest of the cortex and with sensor noise, averaged over trials. The
truth is simulated on the 20,484 vertices of the fine mesh and imaged on another (5,124 by default),
so that simulation and inversion do not share their source space; they do share the head. What is
imaged is the recording alone: the truth is looked at afterwards, by :func:`judged`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.atlas.gyri import gyri, lobes_at
from majorant.findings.facts import Peak
from majorant.findings.truth import truth_errors
from majorant.forward.cortex import grow_patch
from majorant.forward.leadfield import Leadfield
from majorant.head.places import Places, locate
from majorant.imaging.result import ImageResult
from majorant.randomness import takes_rng
from majorant.recording.file import Recording
from majorant.recording.prepare import Prepared, prepare
from majorant.recording.settings import Preparation

__all__ = ["Demo", "DemoSettings", "DemoTruth", "demo_recording", "judged"]


@dataclass(frozen=True)
class DemoSettings:
    """What is simulated.

    Attributes
    ----------
    peaks : tuple of float
        Latency of every patch, s.
    width : float
        Standard deviation of the Gaussian time course, s.
    moment : float
        Total dipole moment of a patch at its peak, A m (40 nAm: a few square centimetres).
    order : int
        Radius of a patch in edges of the fine mesh.
    apart_mm : float
        Least distance between the patches.
    visible : float
        Patches are drawn where the electrodes see at least this share of what they see best.
    n_trials : int
    background_moment : float
        Standard deviation of every background dipole in a single trial, A m.
    n_background : int
        Background dipoles.
    sensor_noise : float
        Standard deviation of the sensor noise in a single trial, V.
    sfreq, tmin, tmax : float
        Hz, s, s.
    """

    peaks: tuple[float, ...] = (0.100, 0.220)
    width: float = 0.025
    moment: float = 40e-9
    order: int = 3
    apart_mm: float = 60.0
    visible: float = 0.6
    n_trials: int = 150
    background_moment: float = 6e-9
    n_background: int = 300
    sensor_noise: float = 2e-6
    sfreq: float = 250.0
    tmin: float = -0.2
    tmax: float = 0.4


@dataclass(frozen=True, eq=False)
class DemoTruth:
    """What was active.

    Attributes
    ----------
    peaks : tuple of Peak
        One per patch: time, place, total moment (A m) and share of the energy.
    """

    peaks: tuple[Peak, ...]


@dataclass(frozen=True, eq=False)
class Demo:
    """A simulated recording, prepared, and what was simulated.

    Attributes
    ----------
    prepared : Prepared
        All that an imager sees.
    truth : DemoTruth
    """

    prepared: Prepared
    truth: DemoTruth


@takes_rng
def demo_recording(
    seed: int = 0,
    settings: DemoSettings | None = None,
    say: Callable[[str], None] | None = None,
) -> Demo:
    """Simulate an evoked response on the template and prepare it as any recording is.

    Parameters
    ----------
    seed : int
        Of places and noise.
    settings : DemoSettings, optional
    say : callable, optional
        Called with every decision.
    """
    settings = settings or DemoSettings()
    account = Account(say) if say else Account()
    generator = np.random.default_rng(seed)
    info = _montage(settings)
    fine = _fine_leadfield(info, account)
    seeds = _draw_seeds(fine, settings, generator)
    times = np.arange(round((settings.tmax - settings.tmin) * settings.sfreq) + 1)
    times = times / settings.sfreq + settings.tmin
    sources, moments = _active(fine, seeds, settings, times)
    gain = fine.gain.numpy()
    clean = gain[:, sources] @ moments
    data = clean + _noise(gain, len(times), settings, generator)
    places = locate(fine)
    account.note(
        f"Simulated {len(seeds)} patches of cortex of {1e9 * settings.moment:.0f} nAm on 20,484 "
        f"vertices, background activity and sensor noise, an average of {settings.n_trials} "
        "trials. They are imaged on a coarser mesh than they were simulated on, but with the same "
        "head: errors on a real head are larger."
    )
    recording = _recording(info, data, settings, tuple(account.decisions))
    prepared = prepare(recording, Preparation(), account.say)
    return Demo(prepared, _truth(places, fine, seeds, settings))


def judged(result: ImageResult, demo: Demo) -> ImageResult:
    """Add the truth, and how far the estimate is from it, to a result."""
    content = replace(result.content, truth=demo.truth.peaks)
    return replace(result, content=replace(content, errors=truth_errors(content)))


def _montage(settings: DemoSettings) -> Any:
    """Info of the 90 electrodes of the template."""
    import mne

    from majorant.forward.electrodes import montage_electrodes

    found = montage_electrodes("standard_90")
    assert found.fiducials is not None
    lpa, nasion, rpa = found.fiducials
    montage = mne.channels.make_dig_montage(
        dict(zip(found.ch_names, found.positions, strict=True)),
        nasion=nasion,
        lpa=lpa,
        rpa=rpa,
        coord_frame="mri",
    )
    info = mne.create_info(list(found.ch_names), settings.sfreq, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    return info


def _fine_leadfield(info: Any, account: Account) -> Leadfield:
    from majorant.head.template import template_forward

    lead = template_forward(info, "ico5", account.say).leadfield
    return lead.fixed()


def _draw_seeds(
    fine: Leadfield, settings: DemoSettings, generator: np.random.Generator
) -> list[int]:
    """Places that the electrodes see, far from each other, in regions (no medial wall)."""
    from majorant.forward.template import template_parcels

    seen = fine.gain - fine.gain.mean(dim=0)
    strength = seen.norm(dim=0).numpy()
    cortex = template_parcels().numpy()[fine.hemisphere.numpy(), fine.vertices.numpy()] >= 0
    limit = settings.visible * np.quantile(strength, 0.99)
    candidates = np.flatnonzero(cortex & (strength >= limit))
    positions = fine.positions.numpy()
    seeds: list[int] = []
    while len(seeds) < len(settings.peaks):
        drawn = int(generator.choice(candidates))
        apart = [np.linalg.norm(positions[drawn] - positions[s]) * 1e3 for s in seeds]
        if all(distance >= settings.apart_mm for distance in apart):
            seeds.append(drawn)
    return seeds


def _course(times: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    return np.exp(-0.5 * ((times - centre) / width) ** 2)


def _active(
    fine: Leadfield, seeds: list[int], settings: DemoSettings, times: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Active vertices, and their moments (n_active, n_times) in A m."""
    members, moments = [], []
    for seed, centre in zip(seeds, settings.peaks, strict=True):
        patch = grow_patch(fine, seed, settings.order).numpy()
        distance = np.linalg.norm(
            fine.positions.numpy()[patch] - fine.positions.numpy()[seed], axis=1
        )
        weight = np.exp(-2.0 * (distance / distance.max()) ** 2)
        # Moments point along their own normals, so what adds up at a distance is their sum.
        weight *= settings.moment / weight.sum()
        members.append(patch)
        moments.append(weight[:, None] * _course(times, centre, settings.width))
    return np.concatenate(members), np.concatenate(moments)


def _noise(
    gain: NDArray[np.float64], n_times: int, settings: DemoSettings, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Background activity with a falling spectrum and white sensor noise, of the average, V."""
    chosen = generator.choice(gain.shape[1], settings.n_background, replace=False)
    length = 4 * n_times
    white = np.fft.rfft(generator.standard_normal((settings.n_background, length)), axis=1)
    frequency = np.fft.rfftfreq(length, 1 / settings.sfreq)
    colour = 1 / np.sqrt(np.maximum(frequency, 1.0)) * (frequency > 0) * (frequency < 40)
    activity = np.fft.irfft(white * colour, length, axis=1)[:, :n_times]
    activity *= settings.background_moment / activity.std()
    sensors = settings.sensor_noise * generator.standard_normal((len(gain), n_times))
    return (gain[:, chosen] @ activity + sensors) / np.sqrt(settings.n_trials)


def _recording(
    info: Any, data: NDArray[np.float64], settings: DemoSettings, notes: tuple[str, ...]
) -> Recording:
    import mne

    evoked = mne.EvokedArray(
        data,
        info,
        tmin=settings.tmin,
        comment="simulated response",
        nave=settings.n_trials,
        verbose="error",
    )
    return Recording(Path("demonstration"), "evoked", (evoked,), notes=notes)


def _truth(places: Places, fine: Leadfield, seeds: list[int], settings: DemoSettings) -> DemoTruth:
    peaks = []
    for seed, centre in zip(seeds, settings.peaks, strict=True):
        x, y, z = (float(value) for value in places.mni[seed])
        peaks.append(
            Peak(
                time=centre,
                hemisphere="left" if places.hemisphere[seed] == 0 else "right",
                lobe=lobes_at(places.mni[[seed]])[0],
                mni=(x, y, z),
                location=int(seed),
                amplitude=settings.moment,
                share=1.0,
                name=gyri().name_of((x, y, z)).partition(" ")[2],
            )
        )
    return DemoTruth(tuple(peaks))
