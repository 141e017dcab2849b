"""Any file that MNE opens is read for what it holds; what cannot be read is said in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import pytest

from majorant.account import Account, listening
from majorant.problem import MajorantError
from majorant.recording.file import load_recording
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation


@pytest.mark.parametrize(
    ("name", "kind"), [("raw", "raw"), ("epochs", "epochs"), ("averages", "evoked")]
)
def test_fif_files_are_told_apart_by_what_they_hold(
    files: dict[str, Path], name: str, kind: str, tmp_path: Path
) -> None:
    plain = tmp_path / "a.fif"
    plain.write_bytes(files[name].read_bytes())
    said: list[str] = []
    recording = load_recording(plain, said.append)
    assert recording.kind == kind
    assert said == [recording.notes[0]]
    assert "a.fif" in said[0]
    assert "32 EEG" in said[0]


def test_options_are_counted(files: dict[str, Path]) -> None:
    assert load_recording(files["raw"]).options == {"1": 14, "2": 14}
    assert load_recording(files["epochs"]).options == {"loud": 14, "soft": 14}
    names = [f"{count:.2f} × {name}" for count, name in ((1, "loud"), (1, "soft"))]
    found = load_recording(files["averages"]).options
    assert list(found.values()) == [14, 14]
    assert all(any(n.split()[-1] in name for n in names) for name in found)


def test_averages_of_one_name_are_told_apart(averages: list[Any], tmp_path: Path) -> None:
    same = [evoked.copy() for evoked in averages]
    for evoked in same:
        evoked.comment = "tone"
    mne.write_evokeds(tmp_path / "x-ave.fif", same, verbose="error")
    recording = load_recording(tmp_path / "x-ave.fif")
    assert recording.options == {"tone": 14, "tone #2": 14}
    assert prepare(recording, Preparation(condition="Tone #2")).title == "x-ave.fif: tone #2"


def test_annotations_are_events_but_bad_stretches_are_not(raw: Any, tmp_path: Path) -> None:
    copy = raw.copy().drop_channels(["STI"])
    onset, what = [1.0, 2.0, 3.0, 4.0], ["flash", "flash", "BAD_move", "boundary"]
    copy.set_annotations(mne.Annotations(onset, [0.1] * 4, what))
    copy.save(tmp_path / "b_raw.fif", verbose="error")
    assert load_recording(tmp_path / "b_raw.fif").options == {"flash": 2}


def test_a_missing_file_is_said() -> None:
    with pytest.raises(MajorantError, match=r"no file .*nowhere.fif"):
        load_recording("nowhere.fif")


@pytest.mark.parametrize("name", ["x_raw.fif", "x-ave.fif", "x.edf", "x.set", "x.vhdr", "x.bdf"])
def test_a_file_that_is_not_what_its_name_says_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)) * 8)
    with pytest.raises(MajorantError, match="cannot be read"):
        load_recording(tmp_path / name)


@pytest.mark.parametrize("content", [b"", bytes(7), bytes(2000), b"PK\x03\x04" + bytes(300)])
@pytest.mark.parametrize("suffix", [".set", ".fif", ".edf", ".vhdr", ".mat"])
def test_an_empty_or_short_file_is_said(tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"x{suffix}").write_bytes(content)
    with pytest.raises(MajorantError, match="cannot be read"):
        load_recording(tmp_path / f"x{suffix}")


def test_a_folder_is_answered_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(MajorantError, match=r"is a folder and no recording; name the file in it"):
        load_recording(tmp_path)


def test_a_format_that_nobody_reads_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.doc").write_text("EEG")
    with pytest.raises(MajorantError, match=r"no reader knows its suffix \(.doc\)"):
        load_recording(tmp_path / "notes.doc")


def test_another_object_of_mne_is_named(tmp_path: Path, averages: list[Any]) -> None:
    cov = mne.make_ad_hoc_cov(averages[0].info, verbose="error")
    mne.write_cov(tmp_path / "x-cov.fif", cov, verbose="error")
    with pytest.raises(MajorantError, match="no recording in it, only cov"):
        load_recording(tmp_path / "x-cov.fif")


def test_the_hash_is_that_of_the_file(files: dict[str, Path]) -> None:
    import hashlib

    expected = hashlib.sha256(files["raw"].read_bytes()).hexdigest()
    assert load_recording(files["raw"]).sha256() == expected


@pytest.mark.parametrize("stim", [True, False])
def test_a_truncated_recording_is_damaged(raw: Any, tmp_path: Path, stim: bool) -> None:
    copy = raw.copy() if stim else raw.copy().drop_channels(["STI"])
    path = tmp_path / "c_raw.fif"
    copy.save(path, verbose="error")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.9)])
    with pytest.raises(MajorantError, match="is damaged"):
        prepare(load_recording(path), Preparation(event="1" if stim else None, tmin=0, tmax=29))


def test_warnings_of_mne_become_notes() -> None:
    account = Account()
    with listening(account, "cropping"):
        mne.utils.warn("Limited 1 annotation(s) that were expanding outside the data range.")
        mne.utils.warn("This filename does not conform to MNE naming conventions.")
    assert account.decisions == [
        "MNE warned while cropping: Limited 1 annotation(s) that were expanding outside the data "
        "range."
    ]
