"""`majorant audit` and `majorant compare` as a person meets them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mne
import numpy as np
import pytest

from .calling import fails, runs

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "Cz", "Pz", "Oz"]
QUICK = ("--solvers", "mne,sloreta", "--n", "20", "--levels", "1")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).standard_normal((len(NAMES), 61))
    info = mne.create_info(NAMES, 200.0, "eeg")
    made = mne.EvokedArray(1e-6 * noise, info, tmin=-0.1, comment="tone<i>", nave=30)
    made.set_montage("standard_1020", verbose="error")
    path = tmp_path / "tone-ave.fif"
    mne.write_evokeds(path, [made], verbose="error")
    return path


def test_an_audit_of_a_recording_writes_a_page_and_is_not_overwritten(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "audit"
    eight = ("--channels", ",".join(NAMES[:8]))
    order = ("audit", "--montage", recording, *eight, "--exact-head", "--out", out, *QUICK)
    runs(*order, "--json", "-")
    found = json.loads(capsys.readouterr().out)
    assert found["electrodes"] == NAMES[:8]
    assert found["montage"] == "tone-ave.fif"
    page = (out / "audit.html").read_text("utf-8")
    assert found["headline"].split(",")[0] in page
    assert str(tmp_path) not in page
    assert "finished audit" in fails(capsys, *order)


def test_an_audit_of_a_head_of_ones_own_leaves_out_what_does_not_fit(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from majorant.head.template import template_forward

    info = mne.read_evokeds(recording, verbose="error")[0].info
    forward = tmp_path / "own-fwd.fif"
    made = template_forward(info, "ico3").forward
    with made["info"]._unlock():
        made["info"]["mri_head_t"] = made["mri_head_t"]
    mne.write_forward_solution(forward, made, verbose="error")
    out = tmp_path / "own"
    order = ("audit", "--forward", forward, "--electrodes", "9", "--out", out, "--n", "20")
    runs(*order, "--levels", "1", "--solvers", "sloreta,mm-net", "--json", "-")
    found = json.loads(capsys.readouterr().out)
    assert list(found["left_out"]) == ["mm-net"]
    assert found["solvers"] == ["sloreta"]
    assert len(found["electrodes"]) == 9
    assert "994 regions" in (out / "audit.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--montage", "standart_1020"), "did you mean 'standard_1020'"),
        (("--channels", "Cz,Pz,Fzz"), "no electrode named Fzz"),
        (("--electrodes", "7"), "at least 8"),
        (("--channels", "Cz,Pz,Oz"), "at least 8"),
        (("--snr", "10", "5"), "is empty"),
        (("--solvers", "slorta"), "did you mean 'sloreta'"),
        (("--montage", "standard_1020", "--forward", __file__), "both given"),
    ],
)
def test_a_mistake_in_an_audit_is_one_sentence(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in fails(capsys, "audit", *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_audit_into_a_file_or_a_sealed_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert "no folder" in fails(capsys, "audit", "--out", tmp_path / "file")
    assert "no folder" in fails(capsys, "audit", "--out", tmp_path / "file" / "below")
    if os.geteuid():
        tmp_path.chmod(0o500)
        assert "cannot be written" in fails(capsys, "audit", "--out", tmp_path / "new")


def test_a_comparison_goes_on_without_what_does_not_fit(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "compared"
    order = ("compare", recording, "--solvers", "mne,sloreta,mm-net", "--space", "ico3")
    runs(*order, "--at", "0.05", "--out", out, "--json", "-")
    found = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in found["solvers"]] == ["mne", "sloreta"]
    assert list(found["left_out"]) == ["mm-net"]
    assert found["moments"][0]["time"] == pytest.approx(0.05)
    agreed = found["moments"][0]["agreement"]
    assert -1 <= agreed["correlation"]["mne sloreta"] <= 1
    assert 0 <= agreed["transport"]["mne sloreta"] < 120
    page = (out / "compare.html").read_text("utf-8")
    assert "MM-Net was left out" in page
    assert "<i>" not in page.split("<h1>")[1].split("</h1>")[0]
    assert "<script" not in page
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "agreement.csv").read_text().count("\n") == 2
    assert "not empty" in fails(capsys, *order, "--out", out)


def test_a_mistake_in_a_comparison_is_one_sentence(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out")
    assert "did you mean 'mne'" in fails(capsys, "compare", recording, "--solvers", "mn,dspm", *out)
    assert "two or more" in fails(capsys, "compare", recording, "--solvers", "mne", *out)
    late = ("--solvers", "mne,sloreta", "--at", "7")
    assert "outside the window" in fails(capsys, "compare", recording, *late, *out)
    only = ("--solvers", "mm-net,mne", "--space", "ico9")
    assert "no solver fits" in fails(capsys, "compare", recording, *only, *out)
    assert not (tmp_path / "out").exists()
