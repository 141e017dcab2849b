"""Which trials: names and codes of events, stimulus channels, cuts, bad stretches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
from scipy.io import savemat

from majorant.account import Account
from majorant.errors import MajorantError
from majorant.recording.average import chosen, separate
from majorant.recording.events import find_marks, spelled, trigger_events
from majorant.recording.file import Recording, from_raw, load_recording
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation
from majorant.recording.trials import data_covariance

SFREQ = 100.0


def held(*levels: tuple[int, int]) -> Any:
    """A recording of one stimulus channel, each level for so many samples."""
    values = np.concatenate([np.full(n, level) for level, n in levels]).astype(float)
    info = mne.create_info(["STI"], SFREQ, "stim")
    return mne.io.RawArray(values[None], info, first_samp=7, verbose="error")


def counts(raw: Any) -> dict[str, int]:
    return {code: len(samples) for code, samples in trigger_events(raw).items()}


@pytest.fixture(scope="module")
def bare() -> Any:
    """Eight electrodes and eight events of each of two names, one a second."""
    rng = np.random.default_rng(0)
    names = ["Fz", "Cz", "Pz", "Oz", "C3", "C4", "P3", "P4"]
    info = mne.create_info(names, SFREQ, "eeg")
    raw = mne.io.RawArray(10e-6 * rng.standard_normal((8, 1800)), info, verbose="error")
    raw.set_montage("biosemi32")
    return raw.set_annotations(mne.Annotations(1.0 + np.arange(16), 0, ["go", "Go"] * 8))


def recorded(raw: Any) -> Recording:
    return from_raw(Path("x_raw.fif"), raw, Account())


def test_a_level_held_until_the_next_is_an_event_of_its_own() -> None:
    raw = held((0, 10), (1, 50), (2, 50), (1, 50), (2, 50), (3, 40), (0, 5), (1, 30))
    assert counts(raw) == {"1": 3, "2": 2, "3": 1}
    assert trigger_events(raw)["3"].tolist() == [210 + 7]


def test_pulses_over_a_level_at_which_the_channel_rests_are_the_events() -> None:
    raw = held(*[(255, 50), (1, 2), (255, 60), (2, 2)] * 4, (255, 40))
    assert counts(raw) == {"1": 4, "2": 4}
    assert counts(held(*[(65536, 40), (65537, 2)] * 3, (65536, 9))) == {"65537": 3}


def test_lines_that_switch_one_by_one_make_no_events() -> None:
    raw = held((0, 30), (1, 1), (3, 20), (2, 1), (0, 30), (3, 1), (0, 10))
    assert counts(raw) == {"3": 2}


def test_codes_stored_with_a_sign_are_those_that_mne_reads_unsigned() -> None:
    raw = held((0, 30), (-32768 + 5, 10), (0, 30))
    events = mne.find_events(raw, uint_cast=True, verbose="error")
    assert {str(code): [sample] for sample, _, code in events} == {
        code: samples.tolist() for code, samples in trigger_events(raw).items()
    }


def test_plain_pulses_are_those_of_mne(raw: Any) -> None:
    events = mne.find_events(raw, shortest_event=1, verbose="error")
    ours = trigger_events(raw)
    for code in (1, 2):
        assert ours[str(code)].tolist() == events[events[:, 2] == code, 0].tolist()


@pytest.mark.parametrize(
    ("name", "options", "right"),
    [
        ("go", {"Go": None, "go": None}, ("go",)),
        ("S 1", {"S  1": None, "S 1": None}, ("S 1",)),
        ("s1", {"S  1": None, "T": None}, ("S  1",)),
        ("1", {"Stimulus/S  1": None, "Response/R  1": None, "Stimulus/S 11": None},
         ("Stimulus/S  1",)),
        ("1001", {"Stimulus/S  1": None, "Response/R  1": None}, ("Response/R  1",)),
        ("4", {"soft": 4, "loud": 3}, ("soft",)),
        ("1", {"1": 7, "soft": 1}, ("1",)),
        ("face", {"face": 1, "face/new": 2}, ("face",)),
        ("new", {"face": 1, "face/new": 2, "place/New": 3}, ("face/new", "place/New")),
        ("new/face", {"face/old": 1, "face/new": 2}, ("face/new",)),
        ("Event/Category, Item/2D", {"Event/Category, Item/2D": 1, "Event": 2},
         ("Event/Category, Item/2D",)),
        ("7", {"7.0": None, "77": None}, ("7.0",)),
        ("caf\u00e9", {"cafe\u0301": None}, ("cafe\u0301",)),
        ("nothing", {"face": 1}, None),
    ],
)  # fmt: skip
def test_an_exact_name_comes_before_a_code_a_folded_name_and_a_tag(
    name: str, options: dict[str, int | None], right: tuple[str, ...] | None
) -> None:
    assert spelled(name, options, tags=True) == right


def test_names_that_differ_in_case_only_are_never_confused(bare: Any) -> None:
    recording = recorded(bare)
    first = prepare(recording, Preparation(event="go")).evoked
    second = prepare(recording, Preparation(event="Go")).evoked
    assert (first.nave, second.nave) == (8, 8)
    assert np.abs(first.data - second.data).max() > 1e-7
    with pytest.raises(MajorantError, match="may be 'go' or 'Go'"):
        prepare(recording, Preparation(event="GO"))


def test_an_event_whose_name_is_a_tag_of_another_has_its_own_trials_only(
    epochs: Any, tmp_path: Path
) -> None:
    tagged = epochs.copy()
    tagged.event_id = {"loud": 1, "loud/late": 2}
    tagged.save(tmp_path / "tags-epo.fif", verbose="error")
    recording = load_recording(tmp_path / "tags-epo.fif")
    n = recording.options["loud"]
    assert prepare(recording, Preparation(event="loud")).evoked.nave == n
    assert prepare(recording, Preparation(event="late")).evoked.nave == len(epochs) - n


def test_several_events_are_several_conditions_and_a_plus_joins_them(bare: Any) -> None:
    recording = recorded(bare)
    for asked in ("go, Go", ("go", "Go")):
        parts = separate(recording, Preparation(event=asked))
        assert [part.event for part in parts] == ["go", "Go"]
        with pytest.raises(MajorantError, match="2 conditions"):
            prepare(recording, Preparation(event=asked))
    joined = prepare(recording, Preparation(event="go+Go"))
    assert joined.evoked.nave == 16
    comma = bare.copy().set_annotations(mne.Annotations([2.0, 3.0], 0, ["go, left", "x"]))
    assert chosen(recorded(comma), Preparation(event="go, left")) == ("go, left",)


def test_trials_across_a_cut_or_in_a_bad_stretch_are_left_out_and_counted(bare: Any) -> None:
    cut = bare.copy()
    # Event k lies at 1 + k s; trials reach from -0.2 to 0.5 s.
    more = mne.Annotations(
        [3.05, 5.5 + 1 / SFREQ, 7.4, 9.9], [0, 0, 0.01, 3.0],
        ["boundary", "New Segment/", "BAD_muscle", "boundary"],
    )  # fmt: skip
    cut.set_annotations(cut.annotations + more)
    prepared = prepare(recorded(cut), Preparation(event="go"))
    # Touched: 3 (cut at 3.05 s), 7 (bad at 7.4 s). A cut after the last sample of 5 is none, and
    # the 3 s at 9.9 s were removed by EEGLAB and are not there: only the point is a cut.
    assert prepared.evoked.nave == 6
    said = next(text for text in prepared.decisions if "left out" in text)
    assert "2 of 8" in said
    assert "1 in stretches marked as bad" in said
    assert "1 across a cut" in said
    assert set(recorded(cut).options) == {"go", "Go"}


def test_a_boundary_of_eeglab_lies_between_two_samples(tmp_path: Path, bare: Any) -> None:
    def write(latency: float) -> Path:
        names = np.array([(n,) for n in bare.ch_names], dtype=[("labels", object)])
        events = np.array(
            [("go", 101.0, 0.0), ("boundary", latency, 400.0)],
            dtype=[("type", object), ("latency", object), ("duration", object)],
        )
        eeg = {
            "setname": "x", "nbchan": 8, "trials": 1, "pnts": 1800, "srate": SFREQ, "xmin": 0.0,
            "xmax": 17.99, "data": bare.get_data() * 1e6, "chanlocs": names, "event": events,
            "icawinv": [], "icasphere": [], "icaweights": [], "icaact": [], "epoch": [], "ref": "",
        }  # fmt: skip
        path = tmp_path / f"b{latency}.set"
        savemat(path, {"EEG": eeg}, appendmat=False)
        return path

    # The event is sample 100 from 0; the trial is 80 to 150, so cuts at 81 to 150 touch it.
    for cut, touched in ((80, False), (81, True), (150, True), (151, False)):
        marks = find_marks(load_recording(write(cut + 0.5)).data)
        assert marks.cuts.tolist() == [cut]
        assert marks.cut(np.array([80]), 71).tolist() == [touched]


def test_marks_are_counted_from_the_first_sample_of_a_part(bare: Any) -> None:
    marked = bare.copy()
    marked.set_annotations(mne.Annotations([9.0, 12.0], [0.0, 0.5], ["boundary", "BAD"]))
    part = marked.copy().crop(4.0, None)
    assert find_marks(marked).cuts.tolist() == [900]
    assert find_marks(part).cuts.tolist() == [500]
    assert np.flatnonzero(find_marks(part).bad).tolist() == list(range(800, 850))
    assert find_marks(part).cut(np.array([480, 500]), 30).tolist() == [True, False]


def test_a_filter_sees_every_piece_for_itself(bare: Any) -> None:
    step = bare.copy()
    step._data[:, 970:] += 5e-3 * np.linspace(-1, 1, 8)[:, None]
    step.set_annotations(bare.annotations + mne.Annotations([9.7], [0], ["boundary"]))
    asked = Preparation(event="go", filter=(2.0, 30.0))
    whole = prepare(recorded(step), asked).evoked
    assert np.abs(whole.data).max() < 30e-6
    # Unmarked, the step rings into the trials beside it.
    unmarked = step.copy().set_annotations(bare.annotations)
    assert np.abs(prepare(recorded(unmarked), asked).evoked.data).max() > 100e-6


@pytest.mark.parametrize("band", [None, (1.0, 30.0)])
def test_what_is_no_number_in_a_bad_stretch_touches_no_trial(bare: Any, band: Any) -> None:
    lost = bare.copy()
    lost._data[:, 505:515] = np.nan
    lost.set_annotations(bare.annotations + mne.Annotations([5.0], [0.2], ["BAD_lost"]))
    prepared = prepare(recorded(lost), Preparation(event="go", filter=band))
    assert prepared.evoked.nave == 7
    assert np.isfinite(prepared.evoked.data).all()
    assert np.isfinite(prepared.noise_cov.data).all()
    with pytest.raises(MajorantError, match="NaN"):
        prepare(recorded(lost.copy().set_annotations(bare.annotations)), Preparation(event="go"))


def test_a_name_that_begins_with_bad_is_answered_with_why(bare: Any) -> None:
    news = bare.copy().set_annotations(mne.Annotations([2.0, 4.0], 0, ["bad_news", "good_news"]))
    with pytest.raises(MajorantError, match="BAD mark stretches to leave out"):
        prepare(recorded(news), Preparation(event="bad_news"))
    edges = bare.copy().set_annotations(mne.Annotations([2.0, 4.0], 0, ["edge_left", "boundary2"]))
    assert set(recorded(edges).options) == {"edge_left", "boundary2"}


def test_all_trials_touched_is_said_with_the_reason(bare: Any) -> None:
    bad = bare.copy()
    bad.set_annotations(bare.annotations + mne.Annotations([0.0], [18.0], ["BAD all"]))
    with pytest.raises(MajorantError, match="marked as bad"):
        prepare(recorded(bad), Preparation(event="go"))


def test_the_covariance_of_the_data_is_that_of_mne(epochs: Any, tmp_path: Path) -> None:
    epochs.save(tmp_path / "x-epo.fif", verbose="error")
    prepared = prepare(load_recording(tmp_path / "x-epo.fif"), Preparation(event="loud"))
    found = data_covariance(prepared)
    assert found is not None
    trials = epochs["loud"].copy().pick(prepared.evoked.ch_names).apply_baseline((None, 0))
    theirs = mne.compute_covariance(trials, tmin=0, verbose="error")
    np.testing.assert_allclose(found[0].data, theirs.data, rtol=0.01, atol=1e-16)
    assert "from 14 trials, 0 to 0.5 s" in found[1]


def test_an_average_alone_has_no_covariance_of_its_trials(files: dict[str, Path]) -> None:
    prepared = prepare(load_recording(files["averages"]), Preparation(condition="loud"))
    assert data_covariance(prepared) is None
