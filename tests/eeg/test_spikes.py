"""Marks from elsewhere, and the report of averaged spikes: onset and peak, each for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant.account import Account
from majorant.cli.options import of_spikes
from majorant.findings.spikes import NO_DEVICE, rising_flank
from majorant.imaging.image import image
from majorant.imaging.result import ImageSettings
from majorant.problem import MajorantError
from majorant.recording.file import Recording, from_raw, load_recording
from majorant.recording.marked import with_events
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation
from majorant.report.cortex import Cortex
from majorant.report.spikes import spike_words, spikes_section

TIMES = np.array([3.0, 6.5, 12.25, 20.0])


@pytest.fixture(scope="module")
def cropped(raw: Any) -> Recording:
    """A recording whose first sample is not 0, with triggers, a bad stretch and a note."""
    made = raw.copy().crop(2.0, 29.0)
    made.set_annotations(mne.Annotations([8.0, 9.0], [1.0, 0.0], ["BAD_old", "note"]))
    return from_raw(Path("night.fif"), made, Account())


def written(kind: str, folder: Path, recording: Recording) -> Path:
    """The same marks as a file of some kind."""
    first = recording.data.first_samp
    samples = np.round(TIMES * 100).astype(int) + first
    marks = mne.Annotations([*TIMES, 15.0], [0, 0, 0, 0, 2.0], ["spike"] * 4 + ["BAD_new"])
    if kind in ("tsv", "csv"):
        path, separator = folder / f"sub-1_events.{kind}", "\t" if kind == "tsv" else ","
        rows = [["onset", "duration", "trial_type"], *([t, "n/a", "spike"] for t in TIMES),
                [15, 2, "BAD_new"], ["n/a", 0, "spike"]]  # fmt: skip
        path.write_text("\n".join(separator.join(map(str, row)) for row in rows), "utf-8")
    elif kind in ("fif", "txt"):
        path = folder / f"marks-eve.{kind}"
        events = np.c_[samples, 0 * samples, 7 + 0 * samples]
        mne.write_events(path, events, overwrite=True, verbose="error")
    else:
        path = folder / "marks-annot.fif"
        marks.save(path, overwrite=True, verbose="error")
    return path


@pytest.mark.parametrize("kind", ["tsv", "csv", "fif", "txt", "annotations"])
def test_marks_of_every_kind_of_file_are_the_same_samples(
    kind: str, cropped: Recording, tmp_path: Path
) -> None:
    path = written(kind, tmp_path, cropped)
    found = with_events(cropped, str(path))
    coded = kind in ("fif", "txt")
    name = "7" if coded else "spike"
    assert set(found.events) == {name}
    assert (found.events[name] - found.data.first_samp).tolist() == [300, 650, 1225, 2000]
    assert any(path.name in said for said in found.notes)
    bad = {str(d) for d in found.data.annotations.description if str(d).startswith("BAD")}
    assert bad == ({"BAD_old"} if coded else {"BAD_old", "BAD_new"})
    # Asked twice, it says so once.
    assert with_events(found, str(path)).notes.count(found.notes[-1]) == 1


def test_annotations_alone_leave_triggers_out(cropped: Recording) -> None:
    assert {"1", "2", "note"} <= set(cropped.events)
    assert set(with_events(cropped, "annotations").events) == {"note"}
    assert with_events(cropped, None) is cropped


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,what\n1,spike\n", "no column onset"),
        ("onset,what\nsoon,spike\n", "line 2: 'soon' is no number of seconds"),
        ("onset,trial_type\n", "no column onset"),
        ("onset,trial_type\nn/a,spike\n", "holds no event"),
    ],
)
def test_tables_that_are_none_are_refused(
    text: str, said: str, cropped: Recording, tmp_path: Path
) -> None:
    (tmp_path / "marks.csv").write_text(text, "utf-8")
    with pytest.raises(MajorantError, match=said):
        with_events(cropped, str(tmp_path / "marks.csv"))


def test_other_mistakes_are_one_sentence(
    cropped: Recording, files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "marks.fif").write_bytes(b"nonsense")
    (tmp_path / "late-eve.txt").write_text("1 0 1\n", "utf-8")
    bare = cropped.data.copy().set_annotations(None)
    for recording, source, said in (
        (cropped, str(tmp_path / "none.tsv"), "there is no file"),
        (cropped, str(tmp_path / "marks.fif"), "cannot be read as events"),
        (cropped, str(tmp_path / "late-eve.txt"), "start of the acquisition"),
        (from_raw(Path("x.fif"), bare, Account()), "annotations", "no annotation that is an event"),
        (load_recording(files["averages"]), "annotations", "continuous recording only"),
    ):
        with pytest.raises(MajorantError, match=said):
            with_events(recording, source)


def test_the_onset_is_half_way_up_the_last_rise() -> None:
    times = np.arange(-50, 30) / 100
    pattern = np.random.default_rng(0).standard_normal(20)
    pattern = (pattern - pattern.mean()) / pattern.std()
    course = np.exp(-0.5 * ((times - 0.02) / 0.05) ** 2) + 0.6 * (np.abs(times + 0.3) < 0.02)
    # The field power of noise alone scatters little about its level.
    noise = 0.02 * np.random.default_rng(1).standard_normal((20, 80))
    onset, peak, ratio = rising_flank(np.outer(pattern, course) + noise, times, (-0.5, -0.4))
    assert times[peak] == pytest.approx(0.02)
    # exp(-x^2 / 2) is a half at 1.18 deviations: the bump at -0.3 s is no part of this rise.
    assert times[onset] == pytest.approx(0.02 - 1.18 * 0.05, abs=0.011)
    assert ratio > 20
    assert rising_flank(noise, times, (-0.5, -0.2))[2] < 5
    with pytest.raises(MajorantError, match="holds both"):
        rising_flank(noise, times + 2, (1.5, 1.8))


@pytest.fixture(scope="module")
def spreading(sphere_forward: Any, averages: list[Any]) -> tuple[Any, tuple[int, int]]:
    """25 spikes at 200 Hz that begin at one place and are at another one 20 ms later."""
    rng, sfreq = np.random.default_rng(2), 200.0
    fixed = mne.convert_forward_solution(sphere_forward, force_fixed=True, verbose="error")
    gain, places = fixed["sol"]["data"], fixed["source_rr"]
    seen = np.linalg.norm(gain, axis=0) > np.median(np.linalg.norm(gain, axis=0))
    first = int(np.flatnonzero(seen)[0])
    away = np.where(seen, np.linalg.norm(places - places[first], axis=1), 0)
    then = int(away.argmax())
    marks = np.arange(2.0, 52.0, 2.0)
    time = np.arange(round(54 * sfreq)) / sfreq
    data = 1e-6 * rng.standard_normal((len(gain), len(time)))
    for k, late, power in ((first, -0.02, 5e-6), (then, 0.0, 7e-6)):
        course = sum(np.exp(-0.5 * ((time - t - late) / 0.01) ** 2) for t in marks)
        data += power * np.outer(gain[:, k] / gain[:, k].std(), course)
    info = mne.create_info(fixed["sol"]["row_names"], sfreq, "eeg", verbose="error")
    info["bads"] = [info["ch_names"][3]]
    made = mne.io.RawArray(data, info, verbose="error")
    made.set_montage(averages[0].get_montage(), on_missing="ignore", verbose="error")
    made.set_annotations(mne.Annotations(marks, 0.0, "spike"))
    return made, (first, then)


def test_onset_and_peak_are_where_they_were_planted(
    spreading: tuple[Any, tuple[int, int]], sphere_forward: Any, tmp_path: Path
) -> None:
    raw, planted = spreading
    path = tmp_path / "own-fwd.fif"
    mne.write_forward_solution(path, sphere_forward, verbose="error")
    preparation = of_spikes(Preparation(event="spike", events_from="annotations"))
    assert (preparation.tmin, preparation.tmax, preparation.baseline) == (-0.5, 0.3, (-0.5, -0.2))
    prepared = prepare(from_raw(Path("night.fif"), raw, Account()), preparation)
    settings = ImageSettings("sloreta", forward=str(path), uncertainty="none", spikes=True)
    result = image(prepared, settings)
    spikes = result.content.spikes
    assert spikes is not None
    assert spikes.count == 25
    assert spikes.clear
    assert spikes.bads == (raw.info["bads"][0],)
    assert len(spikes.electrodes) == 31
    places = sphere_forward["source_rr"]
    for moment, location in zip(spikes.moments, planted, strict=True):
        assert np.linalg.norm(places[moment.place.location] - places[location]) < 0.02
    onset, peak = spikes.moments
    assert -0.04 < onset.place.time < -0.02 < peak.place.time < 0.01
    assert spikes.moved_mm > 50
    # Marks lie within spikes: that something precedes them is no reason to doubt.
    assert not any("nearly as strong before" in said for said in result.content.cautions)
    assert result.content.cautions[0] == NO_DEVICE
    summary = result.summary()["spikes"]
    assert summary["onset"]["location"] == onset.place.location
    assert summary["no_medical_device"] == NO_DEVICE
    assert "25 spikes averaged" in spike_words(result.content)[0]


def test_the_section_answers_what_is_asked(
    spreading: tuple[Any, tuple[int, int]], sphere_forward: Any, tmp_path: Path
) -> None:
    from majorant.forward.surfaces import read_surfaces

    raw, _ = spreading
    path = tmp_path / "own-fwd.fif"
    mne.write_forward_solution(path, sphere_forward, verbose="error")
    prepared = prepare(
        from_raw(Path("night.fif"), raw, Account()), of_spikes(Preparation(event="spike"))
    )
    settings = ImageSettings("mne", forward=str(path), uncertainty="none", spikes=True)
    content = image(prepared, settings).content
    page = str(spikes_section(content, Cortex(read_surfaces(), 20)).html())
    for said in ("no medical device", "Spikes averaged", "Onset", "Left out as bad",
                 raw.info["bads"][0], "Head", "own-fwd.fif", "Method", "What was not seen",
                 "--region 0.9"):  # fmt: skip
        assert said in page, said
