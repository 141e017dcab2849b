"""What may mislead is found where it is, and not where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mne
import numpy as np
import pytest
import torch

from majorant.findings.below import below
from majorant.findings.cautions import find_cautions
from majorant.findings.evidence import Observed
from majorant.findings.facts import Peak, Uncertainty
from majorant.findings.faint import faint, level_needed
from majorant.findings.shadows import SHADOW, leaked
from majorant.findings.standing import doubts
from majorant.forward.electrodes import Alignment
from majorant.problem import Certificate, Status
from majorant.recording.lone import Lone
from majorant.recording.prepare import Prepared
from majorant.recording.scalp import coverage, frontal_pole

TIMES = np.arange(-20, 50) / 100


@pytest.fixture(scope="module")
def info() -> Any:
    montage = mne.channels.make_standard_montage("biosemi64")
    made = mne.create_info(montage.ch_names, 100.0, "eeg", verbose="error")
    return made.set_montage(montage, verbose="error")


def _certificate(violations: int = 0) -> Certificate:
    zero = torch.zeros(1, dtype=torch.int64)
    energy = torch.ones(2, 1, dtype=torch.float64)
    return Certificate(energy, zero + violations, zero, zero, zero, "energy", guard="energy")


@pytest.fixture
def clean(info: Any) -> Observed:
    """An occipital response in good data."""
    course = np.exp(-0.5 * ((TIMES - 0.15) / 0.03) ** 2)
    places = np.array([channel["loc"][:3] for channel in info["chs"]])
    back = np.maximum(-places[:, 1], 0) / np.abs(places[:, 1]).max()
    data = 8e-6 * (back - back.mean())[:, None] * course
    data += 0.2e-6 * np.random.default_rng(0).standard_normal(data.shape)
    evoked = mne.EvokedArray(data, info, tmin=-0.2, nave=60, verbose="error")
    prepared = Prepared(evoked, None, "baseline", (), "clean")
    peaks = (
        Peak(0.15, "right", "occipital", (20.0, -95.0, 5.0), 0, 9.0, 0.6),
        Peak(0.15, "left", "occipital", (-20.0, -95.0, 5.0), 1, 5.0, 0.2),
    )
    return Observed(
        prepared=prepared,
        times=TIMES,
        amplitude=9 * course + 0.5,
        peaks=peaks,
        explained=0.9 * np.ones(len(TIMES)),
        white_rms=1 + 5 * course,
        loose=0.2,
        certificate=_certificate(),
        status=Status.DIRECT,
        alignment=None,
        exact_places=True,
    )


def blinking(e: Observed, eog: bool = True, microvolts: float = 30.0) -> Observed:
    course = np.exp(-0.5 * ((TIMES - 0.3) / 0.04) ** 2)
    evoked = e.prepared.evoked.copy()
    places = np.array([channel["loc"][:3] for channel in evoked.info["chs"]])
    front = np.exp(-np.linalg.norm(places - places[evoked.ch_names.index("Fpz")], axis=1) / 0.03)
    evoked.data += 1e-6 * microvolts * (front - front.mean())[:, None] * course
    prepared = replace(e.prepared, evoked=evoked)
    if eog:
        noise = 1e-6 * np.random.default_rng(1).standard_normal(len(TIMES))
        prepared = replace(prepared, eog=(200e-6 * course + noise)[None], eog_names=("VEOG",))
    peak = Peak(0.3, "right", "frontal", (10.0, 65.0, -15.0), 2, 12.0, 0.5)
    return replace(e, prepared=prepared, peaks=(peak, *e.peaks))


def test_good_data_have_none(clean: Observed) -> None:
    assert find_cautions(clean) == ()


def test_a_blink_is_named_with_channel_time_and_peak(clean: Observed) -> None:
    said = find_cautions(blinking(clean))[0]
    assert said.startswith("Blinks or eye movements")
    assert "Fpz" in said
    assert "at 300 ms" in said
    assert "follows the eye channel VEOG (r = " in said
    assert "Peak 1, right frontal (10, 65, −15) at 300 ms, is probably the eyes" in said


def test_a_blink_is_suspected_without_an_eye_channel(clean: Observed) -> None:
    said = find_cautions(blinking(clean, eog=False))[0]
    assert said.startswith("Blinks or eye movements")
    assert "may be the eyes" in said
    assert "eye channel" not in said


def test_frontal_activity_that_the_eyes_do_not_show_is_no_blink(clean: Observed) -> None:
    found = blinking(clean)
    still = 1e-6 * np.random.default_rng(2).standard_normal((1, len(TIMES)))
    found = replace(found, prepared=replace(found.prepared, eog=still))
    assert not any("Blinks" in text for text in find_cautions(found))
    assert not any("Blinks" in t for t in find_cautions(blinking(clean, False, microvolts=5)))


def test_blinks_in_single_trials_are_counted(clean: Observed) -> None:
    swings = np.full((60, 64), 40e-6)
    swings[:9, frontal_pole(clean.prepared.evoked.info)] = 250e-6
    found = replace(clean, prepared=replace(clean.prepared, swings=swings))
    assert find_cautions(found)[0].startswith("Blinks: 9 of 60 trials")


CASES = [
    ({"certificate": _certificate(3)}, "rose 3 times"),
    ({"status": Status.LIMIT}, "has not finished"),
    ({"status": Status.NO_SOURCE}, "did not find an estimate"),
    ({"white_rms": np.ones(len(TIMES))}, "No source stands out from noise"),
    ({"explained": np.full(len(TIMES), 0.2)}, "explain only 20 %"),
    ({"amplitude": np.ones(len(TIMES))}, "before the event"),
    ({"loose": 0.0}, None),
    ({"exact_places": False}, "is not fsaverage"),
]


@pytest.mark.parametrize(("change", "says"), CASES)
def test_every_check_finds_its_own(clean: Observed, change: dict[str, Any], says: str) -> None:
    found = find_cautions(replace(clean, **change))
    if says is None:
        assert found == ()
    else:
        assert len(found) == 1
        assert says in found[0]


def test_peaks_at_the_edge_or_as_strong_as_the_next_are_said(clean: Observed) -> None:
    first, second = clean.peaks
    edge = replace(clean, peaks=(replace(first, time=0.49), second))
    assert any("edge of the window (490 ms)" in text for text in find_cautions(edge))
    rival = replace(clean, peaks=(first, replace(second, amplitude=-8.9)))
    assert any("has 99 % of the amplitude" in text for text in find_cautions(rival))


def test_few_electrodes_few_trials_and_assumed_noise_are_said(clean: Observed) -> None:
    evoked = clean.prepared.evoked.copy().pick(clean.prepared.evoked.ch_names[::4])
    evoked.nave = 3
    prepared = replace(clean.prepared, evoked=evoked, noise_kind="ad hoc")
    said = " ".join(find_cautions(replace(clean, prepared=prepared)))
    assert "Only 16 electrodes" in said
    assert "an average of only 3 trials" in said
    assert "covariance was assumed" in said


def test_offsets_that_no_baseline_removed_are_said(clean: Observed) -> None:
    evoked = clean.prepared.evoked.copy()
    still = np.random.default_rng(3).standard_normal((len(evoked.ch_names), 1))
    evoked.data += 20e-6 * (still - still.mean())
    offset = replace(clean, prepared=replace(clean.prepared, evoked=evoked))
    said = [text for text in find_cautions(offset) if text.startswith("Offsets of the electrodes")]
    assert len(said) == 1
    assert "no baseline was there" in said[0]
    removed = evoked.copy().apply_baseline((None, 0))
    mended = replace(clean, prepared=replace(clean.prepared, evoked=removed))
    assert not any("Offsets" in text for text in find_cautions(mended))


def test_no_source_stands_out_where_noise_reaches_as_far(clean: Observed) -> None:
    doubt = Uncertainty(np.ones((2, 1)), "standard deviation", "How.", 5.0)
    weak, strong = (replace(clean, uncertainty=doubt, strongest=x) for x in (4.2, 6.0))
    assert find_cautions(strong) == ()
    (said,) = find_cautions(weak)
    assert "nowhere more than 4.2 times its standard deviation, and noise alone reaches 5.0" in said
    unknown = replace(weak, uncertainty=replace(doubt, stands=None))
    assert find_cautions(unknown) == ()
    (said,) = find_cautions(replace(unknown, strongest=1.4))
    assert "nowhere more than 1.4 times its standard deviation, so zero is not ruled out" in said
    placed = replace(doubt, stands=None, noise=doubt.deviation, reached=4.0)
    said = faint(replace(clean, uncertainty=placed, strongest=1.4)) or ""
    assert "nowhere more than 1.4 times what noise alone gives it, and noise alone reaches" in said
    assert faint(replace(clean, uncertainty=placed, strongest=4.1)) is None


def test_few_sensors_need_a_higher_level(clean: Observed) -> None:
    assert level_needed(clean) == 1.5
    assert level_needed(replace(clean, rank=80)) == 1.5
    assert level_needed(replace(clean, rank=7)) > 1.8


def test_the_gravest_comes_first(clean: Observed) -> None:
    found = replace(blinking(clean), certificate=_certificate(1), exact_places=False)
    said = find_cautions(found)
    assert "rose" in said[0]
    assert said[1].startswith("Blinks")
    assert "fsaverage" in said[-1]


def test_the_frontal_pole_is_found_by_name_and_by_place(info: Any) -> None:
    named = {info["ch_names"][i] for i in frontal_pole(info)}
    assert named == {"Fp1", "Fpz", "Fp2"}
    blind = info.copy()
    mne.rename_channels(blind, {name: f"E{i}" for i, name in enumerate(info["ch_names"])})
    by_place = {info["ch_names"][i] for i in frontal_pole(blind)}
    assert named <= by_place
    assert all(name.startswith(("Fp", "AF")) for name in by_place)


def test_coverage_is_of_the_upper_head(info: Any) -> None:
    assert coverage(info) > 0.95
    left = [i for i, c in enumerate(info["chs"]) if c["loc"][0] < -0.005]
    assert coverage(mne.pick_info(info, left)) < 0.8


def test_a_peak_that_something_plainer_explains_is_no_headline(clean: Observed) -> None:
    assert doubts(clean) == ("", "")
    blink = blinking(clean)
    assert doubts(blink) == ("is probably the eyes and not the cortex", "", "")
    # Without an eye channel it may be the eyes, which is a caution and no more.
    silent = replace(blinking(clean, eog=False, microvolts=60), white_rms=np.full(len(TIMES), 9.0))
    assert any("may be the eyes" in text for text in find_cautions(silent))
    assert doubts(silent) == ("", "", "")
    end = replace(clean.peaks[0], time=float(TIMES[-1]))
    at_end = replace(clean, peaks=(end, *clean.peaks), white_rms=np.full(len(TIMES), 9.0))
    assert doubts(at_end) == ("lies at the edge of the window", "", "")
    assert doubts(replace(at_end, window=False)) == ("", "", "")
    early = replace(clean.peaks[0], time=-0.1)
    trials = replace(at_end.prepared, epochs=object())
    before = replace(at_end, prepared=trials, peaks=(early, *clean.peaks))
    assert doubts(before) == ("lies before the event", "", "")


def test_a_peak_below_an_electrode_that_speaks_alone_is_no_headline(clean: Observed) -> None:
    own = Lone("F3", 9e-6, 0.3, 5e-6, 1e-6)
    heard = replace(clean, prepared=replace(clean.prepared, lone=(own,)), below=("F3", ""))
    assert doubts(heard) == ("lies below F3, which shows what no other electrode does", "")
    said = find_cautions(heard)[0]
    assert "F3 shows what no other electrode does" in said
    assert "up to 9.0 µV (at 300 ms), where its noise is 1.0 µV" in said
    assert "--bad 'F3'" in said
    assert "hardly rests on it" not in said
    treated = replace(clean, prepared=replace(clean.prepared, lone=(replace(own, doubted=True),)))
    assert doubts(treated) == ("", "")
    assert "hardly rests on it" in find_cautions(treated)[0]
    gain = np.zeros((3, 2, 1))
    gain[1, 0], gain[2, 1] = 2.0, 3.0
    assert below(gain, ["Cz", "F3", "O1"], ["F3"], clean.peaks) == ("F3", "")


def test_a_peak_within_its_own_noise_is_no_headline(clean: Observed) -> None:
    doubt = Uncertainty(np.array([[3.0], [1.0]]), "standard deviation", "How.", 4.0)
    first, second = doubts(replace(clean, uncertainty=doubt, strongest=5.0))
    assert first == "does not stand out from noise (3.0 times its deviation, 4.0 are needed)"
    assert second == ""
    wide = replace(doubt, deviation=np.full((2, 1), 9.0), plain=np.array([[3.0], [1.0]]))
    assert doubts(replace(clean, uncertainty=wide, strongest=5.0)) == (first, second)
    placed = replace(wide, noise=np.array([[3.0], [1.0]]), reached=4.0)
    first, second = doubts(replace(clean, uncertainty=placed, strongest=5.0))
    assert first.endswith("noise (3.0 times what noise alone gives it, 4.0 are needed)")
    assert second == ""
    quiet = replace(clean, white_rms=np.ones(len(TIMES)))
    assert doubts(quiet) == ("does not stand out from noise",) * 2
    assumed = replace(quiet, prepared=replace(clean.prepared, noise_kind="ad hoc"))
    assert doubts(assumed) == ("", "")


def test_a_small_head_may_be_a_childs(clean: Observed) -> None:
    n = 3
    alignment = Alignment(
        name="digitised positions",
        ch_names=("Cz", "Pz", "Oz"),
        positions=np.zeros((n, 3)),
        residual_mm=np.ones(n),
        scale=(0.85, 0.85, 0.85),
        shift_mm=(0.0, 0.0, 0.0),
        by="warp",
    )
    small = find_cautions(replace(clean, loose=1.0, alignment=replace(alignment, size=0.85)))
    assert any("The head is small (85 % of the template’s size)" in text for text in small)
    assert any("a template warped to the electrodes" in text for text in small)
    for size in (None, 1.0):
        plain = find_cautions(replace(clean, loose=1.0, alignment=replace(alignment, size=size)))
        assert not any("head is small" in text for text in plain)


def test_what_leakage_of_a_stronger_peak_makes_is_a_shadow(sphere: Any) -> None:
    """Two far sources are two; the side lobes of one are its shadows."""
    gain = sphere.gain.double()
    gain = gain / gain.norm(dim=0)
    kernel = gain.mT @ torch.linalg.inv(gain @ gain.mT + 0.1 * torch.eye(len(gain)).double())
    places = 1e3 * sphere.positions.numpy()
    upper = np.argsort(-places[:, 2])[:60]
    one = int(upper[0])
    other = int(upper[np.linalg.norm(places[upper] - places[one], axis=1).argmax()])

    def peaks(y: torch.Tensor) -> list[Peak]:
        size = (kernel @ y[:, 0]).abs().numpy()
        far = np.linalg.norm(places - places[one], axis=1) >= 30
        second = other if size[other] > 0.5 * size[one] else int((size * far).argmax())
        return [
            Peak(0.0, "left", "", tuple(places[k]), k, float(size[k]), 0.0) for k in (one, second)
        ]

    single, pair = gain[:, [one]], gain[:, [one]] + 1.5 * gain[:, [other]]
    times = np.zeros(1)
    (first, _), (share, of) = leaked(kernel, gain, single, peaks(single), times, 1)
    assert first == 0
    assert (share, of) == (pytest.approx(1.0), 0)
    (_, (share, _)) = leaked(kernel, gain, pair, peaks(pair), times, 1)
    assert share < SHADOW


def test_a_shadow_is_no_headline(clean: Observed) -> None:
    (none, why) = doubts(replace(clean, leaked=((0.0, 0), (0.93, 0))))
    assert none == ""
    assert why == "may be the shadow of peak 1, whose leakage alone gives 93 % of it"
