"""Attacks on the command line that once got through: each ends in one sentence, and quickly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import mne
import numpy as np
import pytest

from majorant.cli import main

HEAVY = ("numpy", "torch", "mne", "scipy", "matplotlib", "zarr")


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run; expect a sentence and status 2, within a few seconds."""
    began = time.process_time()
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    said = capsys.readouterr().err
    assert stop.value.code == 2, said
    assert said.count("Error: ") == 1
    assert "Traceback" not in said
    assert time.process_time() - began < 10.0
    return " ".join(said.split())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Something that is there; no recording."""
    path = tmp_path / "rec.fif"
    path.write_bytes(b"\0" * 100)
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tmax", "inf"), "--tmax is inf"),
        (("--tmin", "nan"), "--tmin is nan"),
        (("--baseline", "nan", "0"), "--baseline is nan"),
        (("--depth", "inf"), "--depth is inf"),
        (("--scale", "inf"), "--scale is inf"),
        (("--filter", "1e-12", "1e-11"), "longer than an hour"),
        (("--out", ""), "--out is empty"),
        (("--out=",), "--out is empty"),
        (("--event", " "), "--event is empty"),
        (("--out", "x" * 300), "300 bytes"),
        (("--out", "~nosuchuser/x"), "no home folder for ~nosuchuser"),
        (("--montage", "~nosuchuser/x"), "no home folder"),
        (("--forward", "nowhere-fwd.fif"), "no file nowhere-fwd.fif"),
        (("--json", "/dev/null"), "no file that can be replaced"),
        (("--json", "~nosuchuser/x"), "user that is not known"),
    ],
)
def test_an_option_that_makes_no_sense(capsys, file: Path, words, said) -> None:
    words = [str(file) if word == "FILE" else word for word in words]
    assert said in refused(capsys, "image", file, *words)


@pytest.fixture
def average(tmp_path: Path) -> Path:
    """An average of 20 electrodes, which options for sources are asked of."""
    names = mne.channels.make_standard_montage("biosemi32").ch_names[:20]
    data = 1e-6 * np.random.default_rng(0).standard_normal((20, 30))
    info = mne.create_info(names, 100.0, "eeg", verbose="error")
    path = tmp_path / "rec-ave.fif"
    mne.EvokedArray(data, info, tmin=-0.1, verbose="error").save(path, verbose="error")
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--snr", "1e-300"), "ratios of amplitudes lie between"),
        (("--option", "self=1"), "'self' is no name"),
        (("--option", "a b=1"), "is no name"),
        (("--trans", "FILE"), "no subject was given"),
    ],
)
def test_an_option_for_sources_that_makes_no_sense(capsys, average: Path, words, said) -> None:
    words = [str(average) if word == "FILE" else word for word in words]
    assert said in refused(capsys, "image", average, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("audit", "--seed", -1), "the seed is -1"),
        (("audit", "--seed", 2**100), "the seed is"),
        (("audit", "--n", 10**12), "give fewer"),
        (("audit", "--extent", "nan"), "--extent is nan"),
        (("stream", "--out", "x.csv", "--imager", "PIPE"), "is a pipe"),
        (("image", "PIPE"), "is a pipe"),
        (("image", "REC", "--forward", "PIPE"), "is a pipe"),
        (("compare", "REC", "--montage", "PIPE"), "is a pipe"),
        (("image", "REC", "--json", "PIPE"), "no file that can be replaced"),
        (("cite", "DEEP"), "cannot be read as JSON"),
        (("cite", "PIPE"), "PIPE"),
    ],
)
def test_a_value_that_used_to_hang_or_to_crash(capsys, file: Path, words, said) -> None:
    pipe, deep = file.parent / "PIPE", file.parent / "deep.json"
    os.mkfifo(pipe)
    deep.write_text("[" * 200_000)
    places = {"PIPE": pipe, "REC": file, "DEEP": deep}
    assert said in refused(capsys, *(places.get(word, word) for word in words))


def test_deep_json_that_python_reads_is_walked_without_recursion(capsys, tmp_path: Path) -> None:
    nested = tmp_path / "nested.json"
    nested.write_text('{"a":' * 900 + '{"solver": "mne"}' + "}" * 900)
    with pytest.raises(SystemExit) as stop:
        main(["cite", str(nested)])
    assert stop.value.code == 0
    assert "@" in capsys.readouterr().out


def test_a_name_that_is_no_utf8_is_shown_by_its_bytes(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/r\xffc\x1b[31mx.fif"
    with open(path, "wb") as stream:
        stream.write(b"nothing")
    done = subprocess.run(
        [sys.executable, "-m", "majorant", "cite", path], capture_output=True, timeout=60
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"\\udcff" in done.stderr
    assert b"\x1b" not in done.stderr


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\x07", "\u202e", "\r"])
def test_what_steers_a_terminal_is_not_shown(capsys, tmp_path: Path, character: str) -> None:
    said = refused(capsys, "image", f"{tmp_path}/a{character}[31mb.fif")
    assert character not in said
    from majorant.cli.answer import deliver

    deliver({"file": f"a{character}b"}, "-")
    shown = capsys.readouterr().out
    assert character not in shown
    assert json.loads(shown) == {"file": f"a{character}b"}


def shell(line: str) -> subprocess.CompletedProcess[bytes]:
    python = f"{sys.executable} -m majorant"
    return subprocess.run(
        ["bash", "-c", line.replace("majorant", python, 1)], capture_output=True, timeout=60
    )


@pytest.mark.parametrize(
    "line",
    ["majorant cite mne >&-", "majorant cite mne 2>&-", "majorant cite mne <&- >&- 2>&-"],
)
def test_a_closed_stream_is_no_traceback(line: str) -> None:
    done = shell(line)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0


def test_a_full_disk_behind_standard_output_is_a_sentence() -> None:
    done = shell("majorant cite mne > /dev/full")
    assert done.returncode == 1
    assert b"Error: " in done.stderr
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_reader_who_leaves_is_no_mistake() -> None:
    done = shell("majorant --help | head -c 1 >/dev/null; exit ${PIPESTATUS[1]}")
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


SLIPS = (
    ["--help"],
    ["image", "--help"],
    ["image", "--nope"],
    ["image", "nowhere.fif"],
    ["image", "nowhere.fif", "--solver", "nope"],
    ["image", "--bids", "nowhere"],
    ["compare", "nowhere.fif"],
    ["compare", "nowhere.fif", "--solvers", "nope"],
    ["audit", "--solvers", "nope"],
    ["stream", "--solver", "nope"],
    ["stream", "--imager", "nowhere"],
    ["train", "nope"],
    ["cite", "nope"],
    ["nope"],
    ["--version"],
)


def test_a_slip_of_the_pen_loads_no_numerical_library() -> None:
    code = f"""
import sys
from majorant.cli import main
for words in {SLIPS!r}:
    try:
        main(words)
    except SystemExit:
        pass
    loaded = sorted(set({HEAVY!r}) & set(sys.modules))
    assert not loaded, f"{{words}} loads {{loaded}}"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()[-500:]


def test_the_package_itself_loads_nothing() -> None:
    code = f"import sys, majorant; assert not set({HEAVY!r}) & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
