"""The command line: every mistake is one sentence and exit status 2; nothing is half-written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mne
import numpy as np
import pytest

from majorant.cli import main

from .calling import fails

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "Cz", "Pz", "Oz"]


def evoked(names: list[str] = NAMES, comment: str = "tone", scale: float = 1e-6) -> mne.Evoked:
    noise = np.random.default_rng(0).standard_normal((len(names), 61))
    info = mne.create_info(names, 200.0, "eeg")
    made = mne.EvokedArray(scale * noise, info, tmin=-0.1, comment=comment, nave=30)
    return made.set_montage("standard_1020", on_missing="ignore", verbose="error")


def write(path: Path, *averages: mne.Evoked) -> Path:
    mne.write_evokeds(path, list(averages), overwrite=True, verbose="error")
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write(tmp_path / "tone-ave.fif", evoked())


def spoil(change: str) -> list[mne.Evoked]:
    bad = evoked()
    if change == "nan":
        bad.data[3] = np.nan
    elif change == "flat":
        bad.data[4] = 0.0
    elif change == "same":
        bad.data[:] = bad.data[0]
    elif change == "volts":
        bad.data *= 1e6
    elif change == "few":
        bad.pick(NAMES[:6])
    elif change == "all bad":
        bad.info["bads"] = list(NAMES)
    elif change == "no places":
        bad.set_montage(None)
    elif change == "no eeg":
        bad.set_channel_types(dict.fromkeys(NAMES, "misc"), verbose="error")
    elif change == "meg":
        bad.set_montage(None)
        bad.set_channel_types(dict.fromkeys(NAMES, "mag"), verbose="error")
    elif change == "two":
        return [bad, evoked(comment="light")]
    return [bad]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("nan", "F4"),
        ("flat", "C3"),
        ("same", "record the same"),
        ("volts", "scale"),
        ("few", "8"),
        ("all bad", "bad"),
        ("no places", "no electrode positions"),
        ("no eeg", "no EEG"),
        ("meg", "in Python SourceImager(...).fit(info, forward, noise_cov)"),
        ("two", "light"),
    ],
)
def test_a_recording_that_cannot_be_imaged_is_refused(
    change: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = write(tmp_path / "bad-ave.fif", *spoil(change)), tmp_path / "out"
    assert says in fails(capsys, "image", file, "--out", out)
    assert not out.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["bad-ave.fif"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--condition", "light"), "tone"),
        (("--montage", "nonsense"), "nonsense"),
        (("--solver", "lorreta"), "there is no solver 'lorreta'"),
        (("--tmin", "0.4", "--tmax", "0.5"), "window"),
        (("--tmin", "0.2", "--tmax", "0.1"), "empty"),
        (("--filter", "40", "1"), "filter"),
        (("--bad", "Q9"), "Q9"),
        (("--snr", "0"), "snr is 0"),
        (("--space", "ico9"), "ico9"),
        (("--option", "max_iter"), "name=value"),
        (("--solver", "champagne", "--option", "tol=none"), "tol is None"),
        (("--option", "speed=9"), "no option speed"),
        (("--solver", "champagne", "--option", "rule=fast"), "'fast' is unknown"),
        (("--forward", "missing-fwd.fif"), "missing-fwd.fif"),
        (("--noise-cov", "missing-cov.fif"), "missing-cov.fif"),
        (("--solver", "champagne", "--option", "max_iter=many"), "max_iter is 'many'"),
        (("--event", "tone", "--condition", "tone"), "both given"),
        (("--reference", ","), "reference is empty"),
        (("--option", "rank=0"), "rank is a setting of its own"),
        (("--rank", "50"), "the rank is '50'; expected None, 'info', 'full'"),
        (("--rank", "eeg=many"), "no whole number; write eeg=50"),
        (("--rank", "eeg=600"), "projectors leave"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    arguments: tuple[str, ...],
    says: str,
    recording: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert says in fails(capsys, "image", recording, "--out", out, *arguments)
    assert not out.exists()


def test_a_file_that_is_not_there_or_no_recording_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no file" in fails(capsys, "image", tmp_path / "none.fif")
    none = tmp_path / "none"
    assert "there is no folder" in fails(capsys, "head", "nobody", "--subjects-dir", none)
    junk = tmp_path / "junk.fif"
    junk.write_bytes(os.urandom(400))
    assert "junk.fif" in fails(capsys, "image", junk)
    assert "no recording was given" in fails(capsys, "image")
    folder = tmp_path / "folder.fif"
    folder.mkdir()
    assert "cannot be read" in fails(capsys, "image", folder)
    whole = write(tmp_path / "whole-ave.fif", evoked()).read_bytes()
    cut = tmp_path / "cut-ave.fif"
    cut.write_bytes(whole[: len(whole) // 2])
    said = fails(capsys, "image", cut)
    assert "cannot be read" in said
    assert "cut-ave.fif" in said
    assert "cut off" in said


def test_a_montage_file_without_electrodes_is_refused(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.sfp"
    empty.write_text("")
    assert "empty.sfp" in fails(capsys, "image", recording, "--montage", empty)


def test_results_are_not_overwritten_unasked(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    assert "not empty" in fails(capsys, "image", recording, "--out", out)
    assert "not replaced" in fails(capsys, "image", recording, "--out", out, "--overwrite")
    assert (out / "mine.txt").read_text() == "keep"


def test_an_output_folder_that_cannot_be_written_is_named(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    assert "file" in fails(capsys, "image", recording, "--out", blocker / "out")


def test_an_average_is_imaged_and_written_whole(
    recording: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAJORANT_VERBOSE", "1")
    out = tmp_path / "out"
    arguments = ["image", str(recording), "--out", str(out), "--space", "ico3"]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "estimate-lh.stc",
        "estimate-rh.stc",
        "report.html",
        "summary.json",
    ]
    stc = mne.read_source_estimate(out / "estimate", subject="fsaverage")
    assert stc.data.shape == (1284, 61)
    said = capsys.readouterr()
    assert "Peaks" in said.out
    assert "Read tone-ave.fif" in said.err
    assert "from −0.1 to 0 s" in " ".join(said.err.split())
    assert "not empty" in fails(capsys, *arguments)


def test_help_and_version_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["image", "--help"], ["bench", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
    assert "majorant 0." in capsys.readouterr().out


def test_nonsense_is_answered_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["imagine"], ["image", "--nonsense"], ["image", "--snr", "many"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_rank_is_taken_in_the_words_of_mne(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["image", str(recording), "--space", "ico3", "--uncertainty", "none", "--quiet"]
    with pytest.raises(SystemExit):
        main([*command, "--out", str(out), "--rank", "eeg=12"])
    found = json.loads((out / "summary.json").read_text("utf-8"))
    assert found["data"]["rank"] == 12
    assert found["settings"]["prepare"]["rank"] == {"eeg": 12}
    assert any(text.startswith("Rank 12 at 15 electrodes, as asked") for text in found["decisions"])
