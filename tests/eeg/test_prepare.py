"""Preparation: what is decided is said, and what cannot be used is refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from majorant.problem import MajorantError
from majorant.recording.file import ChoiceNeeded, load_recording
from majorant.recording.prepare import Prepared, prepare
from majorant.recording.settings import Preparation


def prepared(path: Path, **settings: Any) -> Prepared:
    return prepare(load_recording(path), Preparation(**settings))


def sentence(path: Path, **settings: Any) -> str:
    with pytest.raises(MajorantError) as found:
        prepared(path, **settings)
    return str(found.value)


def test_meg_beside_eeg_is_left_out_and_said(changed: Callable[..., Path]) -> None:
    def some_meg(raw: Any) -> None:
        raw.set_channel_types({"VEOG": "mag"}, verbose="error")

    path = changed(some_meg)
    found = prepared(path, event="1")
    assert "Left out: MEG (1 channel)." in " ".join(found.decisions)
    assert set(found.evoked.get_channel_types()) == {"eeg"}


# Choosing


def test_events_are_listed_where_none_was_chosen(files: dict[str, Path]) -> None:
    with pytest.raises(ChoiceNeeded, match=r"'1' \(14 times\); '2' \(14 times\)") as found:
        prepared(files["raw"])
    assert found.value.options == {"1": 14, "2": 14}


@pytest.mark.parametrize("kind", ["epochs", "averages"])
def test_conditions_are_listed_where_none_was_chosen(files: dict[str, Path], kind: str) -> None:
    assert "loud" in sentence(files[kind])


@pytest.mark.parametrize("kind", ["raw", "epochs", "averages"])
def test_an_unknown_name_lists_those_that_exist(files: dict[str, Path], kind: str) -> None:
    said = sentence(files[kind], event="blue")
    assert "'blue'" in said
    assert ("'1'" in said) or ("loud" in said)


def test_names_match_without_case_and_a_plus_joins_them(files: dict[str, Path]) -> None:
    assert prepared(files["epochs"], event="LOUD").evoked.nave == 14
    both = prepared(files["epochs"], event="loud + Soft")
    assert both.evoked.nave == 28
    assert "Averaged 28 trials of loud, soft" in " ".join(both.decisions)


def test_an_average_can_be_chosen_by_its_number(files: dict[str, Path]) -> None:
    assert "soft" in prepared(files["averages"], condition="1").title


def test_raw_without_events_needs_a_window(changed: Callable[..., Path]) -> None:
    path = changed(lambda raw: raw.drop_channels(["STI"]))
    assert "tmin and tmax" in sentence(path)
    assert "no events" in sentence(path, event="flash")
    window = prepared(path, tmin=3.0, tmax=4.0)
    assert window.evoked.times[[0, -1]] == pytest.approx([3, 4])
    assert window.evoked.nave == 1
    assert window.noise_kind == "ad hoc"
    assert abs(window.evoked.data.mean(axis=1)).max() < 1e-12
    assert "outside the recording" in sentence(path, tmin=40.0, tmax=41.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tmin": 0.3, "tmax": 0.1},
        {"scale": -1.0},
        {"reject": 0.0},
        {"baseline": "early"},
        {"filter": (40.0, 1.0)},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MajorantError):
        Preparation(**wrong)


def test_an_empty_window_is_said(files: dict[str, Path]) -> None:
    assert "holds no sample" in sentence(files["averages"], condition="0", tmin=2.0, tmax=3.0)
    assert "is empty" in sentence(files["raw"], event="1", tmin=0.6)
    assert "none of 14 trials" in sentence(files["raw"], event="1", tmin=50.0, tmax=60.0)


# Channels


def test_a_file_without_eeg_is_said(changed: Callable[..., Path]) -> None:
    path = changed(lambda raw: raw.pick(["VEOG", "STI"]))
    assert "no EEG channels" in sentence(path, event="1")


def test_eye_channels_are_set_aside_and_kept_for_the_cautions(files: dict[str, Path]) -> None:
    found = prepared(files["raw"], event="1")
    assert len(found.evoked.ch_names) == 32
    assert found.eog_names == ("VEOG",)
    assert found.eog is not None
    assert found.eog.shape == (1, len(found.evoked.times))


def test_eye_channels_called_eeg_are_recognised_by_name(changed: Callable[..., Path]) -> None:
    path = changed(lambda raw: raw.set_channel_types({"VEOG": "eeg"}, verbose="error"))
    found = prepared(path, event="1")
    assert found.eog_names == ("VEOG",)
    assert "Set aside as EOG by name: VEOG." in found.decisions


def test_positions_that_are_missing_are_said_with_a_way_out(changed: Callable[..., Path]) -> None:
    path = changed(lambda raw: raw.set_montage(None, verbose="error"))
    said = sentence(path, event="1")
    assert "no electrode positions" in said
    assert "standard_1005 (32 of these 32 names are in it)" in said


@pytest.mark.parametrize("name", ["biosemi32", "BIOSEMI32", "standard_1020", "colin27_1020"])
def test_a_montage_is_found_by_any_of_its_names(changed: Callable[..., Path], name: str) -> None:
    path = changed(lambda raw: raw.set_montage(None, verbose="error"))
    found = prepared(path, event="1", montage=name)
    assert f"Electrode positions from the montage {name}, 32 electrodes." in found.decisions


def test_an_unknown_montage_lists_those_that_exist(files: dict[str, Path]) -> None:
    said = sentence(files["raw"], event="1", montage="cap9")
    assert "'cap9'" in said
    assert "biosemi64" in said


def test_names_match_a_montage_whatever_their_dress(changed: Callable[..., Path]) -> None:
    def dress(raw: Any) -> None:
        raw.set_montage(None, verbose="error")
        raw.rename_channels({name: f"EEG {name.upper()}-REF" for name in raw.ch_names[:32]})

    found = prepared(changed(dress), event="1", montage="biosemi32")
    assert len(found.evoked.ch_names) == 32
    assert found.evoked.ch_names[0] == "EEG FP1-REF"


def test_a_montage_without_these_names_is_said(changed: Callable[..., Path]) -> None:
    def rename(raw: Any) -> None:
        raw.rename_channels({name: f"ch{i}" for i, name in enumerate(raw.ch_names[:32])})

    said = sentence(changed(rename), event="1", montage="standard_1005")
    assert "none of the 32 electrodes (ch0" in said


def _write_locations(montage: Any, path: Path, eye: bool = False) -> None:
    """Write a montage as EEGLAB's .locs, the last place being that of an eye channel if asked."""
    lines = []
    for i, (name, place) in enumerate(montage.get_positions()["ch_pos"].items()):
        x, y, z = place / np.linalg.norm(place)
        angle, radius = np.degrees(np.arctan2(x, y)), 0.5 - np.degrees(np.arcsin(z)) / 180
        shown = "EOG1" if eye and i == 31 else name
        lines.append(f"{i + 1}\t{angle:.4f}\t{radius:.5f}\t{shown}")
    path.write_text("\n".join(lines))


def test_channels_named_otherwise_but_as_many_are_renamed_in_order(
    changed: Callable[..., Path], montage: Any, tmp_path: Path
) -> None:
    def rename(raw: Any) -> None:
        raw.set_montage(None, verbose="error")
        raw.rename_channels({name: f"EEG {i:03d}" for i, name in enumerate(raw.ch_names[:32])})

    _write_locations(montage, tmp_path / "cap.locs", eye=True)
    found = prepared(changed(rename), event="1", montage=str(tmp_path / "cap.locs"))
    said = " ".join(found.decisions)
    assert "renamed in order: EEG 000 is Fp1, EEG 001 is AF3, ..., EEG 031 is EOG1" in said
    assert found.evoked.ch_names == montage.ch_names[:31]
    assert "EOG1" in found.eog_names
    assert found.renamed is not None
    assert found.renamed["EEG 000"] == "Fp1"


def test_places_drawn_on_a_sphere_are_replaced_by_those_of_a_head(
    changed: Callable[..., Path], montage: Any, tmp_path: Path
) -> None:
    _write_locations(montage, tmp_path / "cap.locs")
    path = changed(lambda raw: raw.set_montage(None, verbose="error"))
    found = prepared(path, event="1", montage=str(tmp_path / "cap.locs"))
    assert any("perfect sphere" in text for text in found.decisions)
    places = np.array([channel["loc"][:3] for channel in found.evoked.info["chs"]])
    radius = np.linalg.norm(places, axis=1)
    assert radius.std() / radius.mean() > 0.02


def test_digitised_places_are_left_alone(files: dict[str, Path], raw: Any) -> None:
    found = prepared(files["raw"], event="1")
    for ours, theirs in zip(found.evoked.info["chs"], raw.info["chs"], strict=False):
        assert ours["loc"][:3] == pytest.approx(theirs["loc"][:3], abs=1e-7)


def test_bad_channels_are_left_out_and_named(files: dict[str, Path]) -> None:
    found = prepared(files["raw"], event="1", bads=("fp1", "Oz"))
    assert "Left out as bad: Fp1, Oz." in found.decisions
    assert len(found.evoked.ch_names) == 30
    assert "no channel Qz" in sentence(files["raw"], event="1", bads=("Qz",))


def test_all_channels_bad_is_said(files: dict[str, Path], raw: Any) -> None:
    said = sentence(files["raw"], event="1", bads=tuple(raw.ch_names[:32]))
    assert "all 32 electrodes are marked as bad" in said


def test_fewer_than_eight_electrodes_are_refused(files: dict[str, Path], raw: Any) -> None:
    said = sentence(files["raw"], event="1", bads=tuple(raw.ch_names[7:32]))
    assert "only 7 usable electrodes" in said
    said = sentence(files["raw"], event="1", bads=tuple(raw.ch_names[1:32]))
    assert f"only 1 usable electrode ({raw.ch_names[0]}); source imaging needs" in said


def test_a_baseline_that_ends_before_it_begins_is_said(files: dict[str, Path]) -> None:
    said = sentence(files["raw"], event="1", baseline=(-0.05, -0.15))
    assert "the baseline from -0.05 to -0.15 s is empty; give its start first" in said


def test_a_file_that_places_no_electrode_is_no_montage(
    files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    said = sentence(files["raw"], event="1", montage=str(tmp_path / "notes.txt"))
    assert "notes.txt places no electrode" in said
    assert "none of the 32 electrodes" in sentence(files["raw"], event="1", montage="mgh70")


def _set(values: Callable[[Any], None]) -> Callable[[Any], None]:
    def change(raw: Any) -> None:
        values(raw._data)

    return change


def test_nan_and_flat_channels_are_named(changed: Callable[..., Path]) -> None:
    def nan(data: Any) -> None:
        data[3, 500] = np.nan

    def flat(data: Any) -> None:
        data[5] = 1e-6

    assert "NaN or infinite values in F3" in sentence(changed(_set(nan)), event="1")
    assert "flat in FC5" in sentence(changed(_set(flat)), event="1")
    assert len(prepared(changed(_set(flat)), event="1", bads=("FC5",)).evoked.ch_names) == 31


@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_another_unit_is_asked_about_and_can_be_mended(
    changed: Callable[..., Path], files: dict[str, Path], factor: float
) -> None:
    def scale(data: Any) -> None:
        data[:32] *= factor

    path = changed(_set(scale))
    assert "give the factor to volts as the scale" in sentence(path, event="1")
    mended = prepared(path, event="1", scale=1 / factor).evoked.data
    expected = prepared(files["raw"], event="1").evoked.data
    assert np.abs(mended - expected).max() < 1e-5 * np.abs(expected).max()


def test_the_electrode_of_the_reference_can_be_added(
    changed: Callable[..., Path], montage: Any
) -> None:
    def reference(raw: Any) -> None:
        raw._data[:32] -= raw._data[31]
        raw.drop_channels([montage.ch_names[31]])
        raw.set_montage(None, verbose="error")

    name = montage.ch_names[31]
    found = prepared(changed(reference), event="1", montage="biosemi32", reference=name)
    assert name in found.evoked.ch_names
    assert f"Added the reference electrode as zeros: {name}." in found.decisions
    assert np.abs(found.evoked.data.mean(axis=0)).max() < 1e-18


# Data


def test_the_same_trials_give_the_same_average_from_raw_epochs_and_averages(
    files: dict[str, Path],
) -> None:
    kept = [
        prepared(files["raw"], event="1", tmin=-0.2, tmax=0.5),
        prepared(files["epochs"], event="loud"),
        prepared(files["averages"], condition="0"),
    ]
    for found in kept:
        assert found.evoked.nave == 14
        assert np.abs(found.evoked.data - kept[0].evoked.data).max() < 1e-11


def test_the_result_is_average_referenced_as_mne_wants_it(files: dict[str, Path]) -> None:
    evoked = prepared(files["raw"], event="1").evoked
    assert np.abs(evoked.data.mean(axis=0)).max() < 1e-18
    assert [p["desc"] for p in evoked.info["projs"]] == ["Average EEG reference"]
    assert evoked.info["projs"][0]["active"]


def test_the_baseline_is_removed_before_the_window_is_cut(files: dict[str, Path]) -> None:
    whole = prepared(files["raw"], event="1", tmin=-0.2, tmax=0.3)
    part = prepared(files["raw"], event="1", tmin=0.0, tmax=0.3)
    assert part.evoked.times[0] == 0
    assert part.evoked.data == pytest.approx(whole.evoked.data[:, 20:], abs=1e-15)
    assert part.noise_kind == "baseline"
    none = prepared(files["raw"], event="1", baseline="none")
    assert "No baseline was removed, as asked." in none.decisions


def test_filtering_happens_before_cutting_and_is_said(files: dict[str, Path]) -> None:
    found = prepared(files["raw"], event="1", filter=(2.0, 20.0))
    assert "Filtered 2 to 20 Hz (zero phase) before cutting." in found.decisions
    assert "below half the sampling rate" in sentence(files["raw"], event="1", filter=(1.0, 80.0))


def test_trials_beyond_a_threshold_are_left_out(changed: Callable[..., Path]) -> None:
    def spike(data: Any) -> None:
        data[0, 110] += 500e-6

    found = prepared(changed(_set(spike)), event="1", reject=200e-6)
    assert found.evoked.nave == 13
    assert any("1 of 14 trials were left out" in text for text in found.decisions)
    assert "none of 14 trials" in sentence(changed(_set(spike)), event="1", reject=1e-6)


def test_everything_decided_is_said_as_it_is_decided(files: dict[str, Path]) -> None:
    said: list[str] = []
    found = prepare(load_recording(files["raw"]), Preparation(event="1"), said.append)
    assert list(found.decisions[1:]) == said
    assert all(text.endswith(".") for text in found.decisions)


def test_the_recording_itself_is_not_changed(files: dict[str, Path]) -> None:
    recording = load_recording(files["averages"])
    before = [evoked.data.copy() for evoked in recording.data]
    prepare(recording, Preparation(condition="0", filter=(1, 20), bads=("Oz",), tmin=0.1))
    for evoked, data in zip(recording.data, before, strict=True):
        assert np.array_equal(evoked.data, data)
        assert len(evoked.ch_names) == 33


def test_a_reference_that_was_set_before_does_not_stand_in_the_way(
    changed: Callable[..., Path], files: dict[str, Path]
) -> None:
    path = changed(lambda raw: raw.set_eeg_reference(["Cz"], verbose="error"))
    found = prepared(path, event="1", bads=("Cz",))
    expected = prepared(files["raw"], event="1", bads=("Cz",))
    assert found.evoked.data == pytest.approx(expected.evoked.data, abs=1e-12)
    assert found.evoked.info["custom_ref_applied"] == 0
