"""A simulated study of 12 subjects, each with a head of their own, through the doors of a user.

``python -m benchmarks.group_heads study [60] [FOLDER]`` writes a BIDS data set of 12 recordings
(two conditions of 40 trials, 64 electrodes, an effect of 60 nAm), images it with ``majorant image
--bids`` and tests it with ``majorant group``: is the planted effect found, where and when it is,
and how long does the test take? ``python -m benchmarks.group_heads null [200]`` repeats the study
without an effect, with new noise for every subject, condition and repetition, and counts how often
something is found; ``... planted [30 60 120]`` images averages with effects of so many nAm in the
same way and says which are found, and where.

Heads are drawn from the bank's test part (`majorant.forward.bank`): another skull, a cortex that is
moved and turned, electrodes that sit elsewhere. The imager knows none of it: it believes in the
template. Sources are patches of the fine mesh; where they lie differs by some millimetres between
subjects, and how strong they are by some tenths.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray

from majorant import SourceImager
from majorant.atlas.gyri import gyri
from majorant.cli import main
from majorant.forward.bank import HeadBank
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.template_bank import template_bank
from majorant.group.load import StudyEstimates
from majorant.group.run import analyse
from majorant.group.statistics import adjacency, clusters

SUBJECTS, TRIALS, SFREQ = 12, 40, 100.0
BEFORE, AFTER, GAP = 0.2, 0.5, 1.0
"""Seconds of a trial before and after its event, and between events."""
COMMON: tuple[tuple[float, float, float], ...] = ((-54, -22, 8), (54, -20, 8))
"""MNI, mm: what both conditions evoke at 100 ms."""
EFFECT = (-42.0, -62.0, 42.0)
"""MNI, mm: what only the first condition evokes at 300 ms."""
COMMON_AM, EFFECT_AM, BACKGROUND_AM, SENSOR = 30e-9, 60e-9, 6e-9, 5e-6
"""Moments of the patches and of a source of the background, A m; noise of a sensor, V."""
N_BACKGROUND, PATCH_MM, JITTER_MM = 300, 10.0, 6.0
CONDITIONS = ("deviant", "standard")


@dataclass(frozen=True, eq=False)
class Person:
    """What the electrodes of one subject see, V per A m.

    Attributes
    ----------
    common, effect : array, shape (n_electrodes,)
        Of the patches at unit moment.
    background : array, shape (n_electrodes, n_background)
    strength : array, shape (2,)
        Of the common response and of the effect, over the mean.
    """

    common: NDArray[np.float64]
    effect: NDArray[np.float64]
    background: NDArray[np.float64]
    strength: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cohort:
    """All subjects and what their recordings are called by."""

    people: tuple[Person, ...]
    info: Any
    effect: float = EFFECT_AM
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(11))

    def noise(self, person: Person, n_times: int) -> NDArray[np.float64]:
        """Background with a falling spectrum, and noise of the sensors, V."""
        length = 2 * n_times
        white = np.fft.rfft(self.rng.standard_normal((N_BACKGROUND, length)), axis=1)
        frequency = np.fft.rfftfreq(length, 1 / SFREQ)
        colour = (frequency > 0) / np.sqrt(np.maximum(frequency, 1.0))
        activity = np.fft.irfft(white * colour, length, axis=1)[:, :n_times]
        activity *= BACKGROUND_AM / activity.std()
        sensors = SENSOR * self.rng.standard_normal((len(person.common), n_times))
        return person.background @ activity + sensors

    def response(self, person: Person, effect: bool) -> NDArray[np.float64]:
        """What one event evokes, V, shape (n_electrodes, n_times)."""
        times = window()
        shapes = [
            np.exp(-0.5 * ((times - at) / wide) ** 2) for at, wide in ((0.1, 0.025), (0.3, 0.04))
        ]
        common, own = person.strength * (COMMON_AM, self.effect)
        made = common * np.outer(person.common, shapes[0])
        return made + own * np.outer(person.effect, shapes[1]) if effect else made


def window() -> NDArray[np.float64]:
    """Times of a trial, s."""
    return np.arange(round(-BEFORE * SFREQ), round(AFTER * SFREQ) + 1) / SFREQ


def cohort(seed: int = 3, effect: float = EFFECT_AM) -> Cohort:
    """Draw the subjects; `effect` is the mean moment of the effect, A m."""
    montage = mne.channels.make_standard_montage("easycap-M1")
    names = [
        montage.ch_names[i]
        for i in np.linspace(0, len(montage.ch_names) - 1, 64).round().astype(int)
    ]
    bank = template_bank("easycap-M1", ch_names=names)
    info = mne.create_info(list(bank.ch_names), SFREQ, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    rng = np.random.default_rng(seed)
    people = tuple(_person(bank, head, rng) for head in bank.iterate(SUBJECTS, seed, split="test"))
    return Cohort(people, info, effect)


def _person(bank: HeadBank, head: Any, rng: np.random.Generator) -> Person:
    mni = mni305_to_mni152(bank.true.positions)
    patches = []
    for place in (*COMMON, EFFECT):
        seed = np.asarray(place) + rng.normal(0, JITTER_MM / np.sqrt(3), 3)
        seed = mni[np.linalg.norm(mni - seed, axis=1).argmin()]
        near = np.linalg.norm(mni - seed, axis=1) < PATCH_MM
        patches.append(np.flatnonzero(near & ((mni[:, 0] > 0) == (seed[0] > 0))))
    scattered = rng.choice(len(mni), N_BACKGROUND, replace=False)
    gain = head.columns(np.concatenate([*patches, scattered])).numpy()
    gain -= gain.mean(0)
    ends = np.cumsum([len(p) for p in patches])
    left, right, effect = (
        part.mean(1) for part in np.split(gain[:, : ends[-1]], ends[:-1], axis=1)
    )
    strength = rng.uniform(0.6, 1.4, 2)
    return Person(left + right, effect, gain[:, ends[-1] :], strength)


def write_study(people: Cohort, root: Path) -> None:
    """Write a continuous recording of every subject as a BIDS data set."""
    from mne_bids import BIDSPath, write_raw_bids

    first = round(2 * BEFORE * SFREQ)
    for k, person in enumerate(people.people, 1):
        onsets = first + np.arange(len(CONDITIONS) * TRIALS) * round(GAP * SFREQ)
        data = people.noise(person, int(onsets[-1] + 2 * SFREQ))
        start, n = round(-BEFORE * SFREQ), len(window())
        order = people.rng.permutation(np.repeat(CONDITIONS, TRIALS))
        for onset, name in zip(onsets, order, strict=True):
            part = slice(onset + start, onset + start + n)
            data[:, part] += people.response(person, name == CONDITIONS[0])
        raw = mne.io.RawArray(data, people.info.copy(), verbose="error")
        raw.set_annotations(mne.Annotations(onsets / SFREQ, 0.0, list(order)), verbose="error")
        raw.info["line_freq"] = 50
        place = BIDSPath(subject=f"{k:02d}", task="oddball", root=root, datatype="eeg")
        write_raw_bids(raw, place, format="BrainVision", allow_preload=True, verbose="error")


def call(*words: object) -> float:
    """Run a command as a user does; returns its processor time, s."""
    start = time.process_time()
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        if end.code:
            raise
    return time.process_time() - start


def study(folder: Path, effect: float) -> None:
    """Simulate, image, test, and say what was found."""
    root, out, people = folder / "study", folder / "group", cohort(effect=effect)
    seen = [effect * p.strength[1] * np.abs(p.effect).max() for p in people.people]
    print(f"effect: {1e6 * np.mean(seen):.1f} µV at the best electrode, mean over subjects")
    write_study(people, root)
    events = [word for name in CONDITIONS for word in ("--event", name)]
    chosen = [word for name in CONDITIONS for word in ("--condition", name)]
    print(f"imaging: {call('image', '--bids', root, *events, '--solver', 'dspm'):.0f} s")
    derivatives = root / "derivatives" / "majorant"
    wall = time.perf_counter()
    spent = call("group", derivatives, *chosen, "--tmin", 0, "--tmax", 0.5, "--out", out)
    print(f"group: processor {spent:.1f} s, wall {time.perf_counter() - wall:.1f} s")
    found = json.loads((out / "summary.json").read_text("utf-8"))
    print(found["headline"])
    best = found["clusters"][0]
    away = np.linalg.norm(np.subtract(best["peak_mni_mm"], EFFECT))
    print(f"peak {away:.0f} mm and {1e3 * (best['peak_s'] - 0.3):.0f} ms from what was planted")
    print(f"page: {(out / 'group.html').stat().st_size / 1e6:.1f} MB")


def null(repetitions: int) -> None:
    """Repeat the study without an effect and count what is found.

    Averages are simulated: their noise is that of a trial over the root of the number of trials.
    Every repetition draws it anew for all subjects, so that nothing is used twice, as relabelling
    one study would.
    """
    people, hits = cohort(), 0
    imagers = [_fitted(people, person) for person in people.people]
    vertices = None
    for k in range(repetitions):
        rows = []
        for person, imager in zip(people.people, imagers, strict=True):
            both = [imager.apply(_average(people, person)).crop(0.0, 0.2) for _ in CONDITIONS]
            vertices = both[0].vertices
            rows.append(both[0].data.T - both[1].data.T)
        assert vertices is not None
        found = clusters(np.array(rows), adjacency(vertices), permutations=200, seed=k)
        hits += bool(found) and found[0].p < 0.05
        if (k + 1) % 20 == 0:
            print(f"{hits} of {k + 1}", flush=True)
    rate = hits / repetitions
    error = np.sqrt(rate * (1 - rate) / repetitions)
    print(f"false alarms: {hits} of {repetitions} = {rate:.3f} ± {error:.3f}")


def planted(moments: Sequence[float]) -> None:
    """Image averages with effects of some moments, nAm, and test them from 0 s on."""
    people = cohort()
    imagers = [_fitted(people, person) for person in people.people]
    times = window()
    print("| effect | at the best electrode | of single subjects | p | peak of the cluster |")
    print("|---|---|---|---|---|", flush=True)
    for moment in moments:
        dose = Cohort(people.people, people.info, 1e-9 * moment)
        rows: list[list[NDArray[np.float64]]] = []
        vertices: Any = None
        for person, imager in zip(people.people, imagers, strict=True):
            both = [
                imager.apply(_average(dose, person, name == CONDITIONS[0])) for name in CONDITIONS
            ]
            vertices = both[0].vertices
            rows.append([stc.data.T[times >= 0] for stc in both])
        names = tuple(f"{k:02d}" for k in range(SUBJECTS))
        made = StudyEstimates(
            names, CONDITIONS, np.array(rows), times[times >= 0], tuple(vertices), "dSPM", "dspm"
        )
        result = analyse(made, gyri())
        best = result.rows()[0]
        away = np.linalg.norm(np.subtract(best["peak_mni_mm"], EFFECT))
        late = 1e3 * (best["peak_s"] - 0.3)
        seen = [1e6 * dose.effect * p.strength[1] * np.abs(p.effect).max() for p in dose.people]
        when = f"{abs(late):.0f} ms {'late' if late >= 0 else 'early'}, {away:.0f} mm away"
        peak = f"{when}, {best['peak_region']}" if best["p"] < 0.05 else ""
        each = f"{np.mean(seen):.1f} µV | {min(seen):.1f} to {max(seen):.1f} µV"
        print(f"| {moment:g} nAm | {each} | {best['p']:.2g} | {peak} |", flush=True)


def _fitted(people: Cohort, person: Person) -> SourceImager:
    """An imager with the noise of the subject's trials, on the template."""
    noise = people.noise(person, 40 * 100)
    trials = mne.io.RawArray(noise, people.info.copy(), verbose="error")
    trials.set_eeg_reference(projection=True, verbose="error")
    cov = mne.compute_raw_covariance(trials, verbose="error")
    return SourceImager("dspm", space="ico3").fit(trials.info, noise_cov=cov)


def _average(people: Cohort, person: Person, effect: bool = False) -> Any:
    data = people.response(person, effect)
    data += people.noise(person, len(window())) / np.sqrt(TRIALS)
    made = mne.EvokedArray(data, people.info.copy(), -BEFORE, nave=TRIALS, verbose="error")
    made.set_eeg_reference(projection=True, verbose="error")
    return made.apply_baseline((None, 0), verbose="error")


def run(words: Sequence[str]) -> None:
    """Do what the command line asks for."""
    if words[:1] == ["null"]:
        null(int(words[1]) if len(words) > 1 else 200)
    elif words[:1] == ["planted"]:
        planted([float(word) for word in words[1:]] or [30.0, 60.0, 120.0])
    elif words[:1] == ["study"]:
        with tempfile.TemporaryDirectory() as folder:
            moment = 1e-9 * float(words[1]) if len(words) > 1 else EFFECT_AM
            study(Path(words[2] if len(words) > 2 else folder), moment)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    run(sys.argv[1:])
