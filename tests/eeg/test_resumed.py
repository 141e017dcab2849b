"""A run over a long recording that is killed: the next one goes on, and ends with the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant import SourceImager
from majorant.cli import main
from majorant.files import write
from majorant.imager import streams
from majorant.imager.inverse import Job
from majorant.imager.store import read_window
from majorant.imager.streams import Reader, stream_columns
from majorant.imager.tally import Tally

PIECE = 8 * 450 * 700
"""Bytes of some seven hundred samples: half a minute is a long recording."""

KILLED = f"""
import os, signal, sys
from majorant.cli import main
from majorant.imager import streams
from majorant.imaging import progress

streams.PIECE_BYTES, progress.EVERY = {PIECE}, 0.0
keep = progress.Steps.keep

def then_die(self, done, *rest):
    keep(self, done, *rest)
    if done >= 1200:
        os.kill(os.getpid(), signal.SIGKILL)

progress.Steps.keep = then_die
main(sys.argv[1:])
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PIECE_BYTES", PIECE)
    monkeypatch.setattr("majorant.report.page.render_page", lambda *_, **__: "<html></html>")


@pytest.fixture(scope="module")
def command(files: dict[str, Path], sphere_forward: Any, tmp_path_factory: Any) -> list[str]:
    forward = tmp_path_factory.mktemp("head") / "sphere-fwd.fif"
    mne.write_forward_solution(forward, sphere_forward, verbose="error")
    words = ["image", str(files["raw"]), "--raw", "--forward", str(forward), "--quiet"]
    return [*words, "--solver", "mne", "--filter", "1", "30"]


@pytest.fixture(scope="module")
def stopped(command: list[str], tmp_path_factory: Any) -> Path:
    """A folder in which a run was killed after half of its samples."""
    folder = tmp_path_factory.mktemp("stopped")
    out = ["--out", str(folder / "out")]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, *command, *out])
    assert done.returncode == -signal.SIGKILL
    assert len(left(folder)) == 1
    return folder


@pytest.fixture
def folder(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(stopped, tmp_path / "copy")


def left(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".majorant-")]


def whole(command: list[str], out: Path) -> dict[str, Any]:
    with pytest.raises(SystemExit) as stop:
        main([*command, "--out", str(out)])
    assert stop.value.code == 0
    return json.loads((out / "summary.json").read_text("utf-8"))


def test_a_run_that_was_killed_is_gone_on_with(command: list[str], folder: Path) -> None:
    # Another result in the same folder does not take what is left for a leftover.
    expected = whole(command, folder / "other")
    assert len(left(folder)) == 1
    found = whole(command, folder / "out")
    assert not left(folder)
    said = [text for text in found["decisions"] if text not in expected["decisions"]]
    assert said == ["Gone on with a run that was stopped: 47 % of the samples had been imaged."]
    assert found["certificate"] == expected["certificate"]
    for one, two in zip(found["peaks"], expected["peaks"], strict=True):
        assert (one["time"], one["location"]) == (two["time"], two["location"])
        assert one["amplitude"] == pytest.approx(two["amplitude"], rel=1e-9)
    one, two = (read_window(folder / name / "estimate.zarr").data for name in ("out", "other"))
    assert np.abs(one - two).max() <= 1e-6 * np.abs(one).max()


def test_a_run_with_other_settings_begins_anew(command: list[str], folder: Path) -> None:
    found = whole([*command, "--snr", "2"], folder / "out")
    assert not any("Gone on" in text for text in found["decisions"])
    assert not left(folder)


@pytest.mark.parametrize("what", ["step", "store"])
def test_what_is_damaged_is_made_anew(what: str, command: list[str], folder: Path) -> None:
    room = left(folder)[0] / "new"
    if what == "step":
        path = sorted((room / "estimate.zarr.steps").glob("*.npz"))[-1]
        path.write_bytes(path.read_bytes()[:100])
    else:
        shutil.rmtree(room / "estimate.zarr")
    found = whole(command, folder / "out")
    assert not any("Gone on" in text for text in found["decisions"])


def test_what_nobody_goes_on_with_is_cleared_away_after_a_week(folder: Path) -> None:
    write.sweep(folder)
    assert len(left(folder)) == 1
    for path in (left(folder)[0] / "new", left(folder)[0]):
        os.utime(path, (0, 0))
    write.sweep(folder)
    assert not left(folder)


def test_windows_are_gone_on_with_at_a_piece(
    raw: Any, sphere_forward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows that reach over the beginning are solved again, and counted once."""
    imager = SourceImager("champagne", max_iter=3).fit(raw.info, sphere_forward)
    monkeypatch.setattr(streams, "GROUP_BYTES", 8 * 450 * 400)
    job, tallies = Job(1, 100.0, None), (Tally(), Tally())
    reader = Reader(raw, list(imager.inverse.ch_names), 0, 1000)
    pieces, records = [], {}
    for piece in stream_columns(imager.inverse, job, reader, tallies[0]):
        pieces.append(piece)
        records[piece.start + piece.columns.shape[1]] = json.dumps(tallies[0].record())
    assert len(pieces) > 3
    begin = pieces[2].start
    tallies[1].restore(json.loads(records[begin]))
    again = list(stream_columns(imager.inverse, job, reader, tallies[1], begin=begin))
    assert [piece.start for piece in again] == [piece.start for piece in pieces[2:]]
    for one, two in zip(again, pieces[2:], strict=True):
        assert np.allclose(one.columns, two.columns, rtol=1e-9, atol=1e-20)
    one, two = (tally.certificate() for tally in tallies)
    assert one is not None
    assert two is not None
    assert np.allclose(one.energy, two.energy)
    assert (one.state, one.windows) == (two.state, two.windows)
    assert one.gradient is not None
    assert two.gradient is not None
    assert np.allclose(one.gradient, two.gradient)
    assert [tally.windows for tally in tallies] == [tallies[0].windows] * 2


def test_a_tally_of_nothing_goes_on_from_nothing() -> None:
    again = Tally()
    again.restore(json.loads(json.dumps(Tally().record())))
    assert again.certificate() is None
