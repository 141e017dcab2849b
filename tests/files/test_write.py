"""Writing: whole or not at all, whatever kills the process, and nothing of others is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from majorant.errors import MajorantError
from majorant.files import write
from majorant.files.output import check_file, check_output, is_results
from majorant.files.write import (
    MARK,
    PREFIX,
    beside,
    exchange,
    move_all,
    require_room,
    sweep,
    write_file,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from majorant.files import write
folder = Path(sys.argv[1])
{body}
"""


def killed(folder: Path, body: str) -> None:
    """Run a program that kills itself."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(body=body), str(folder)], capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def results(folder: Path, word: str) -> Path:
    folder.mkdir()
    summary = {"kind": "audit", "headline": word, "version": "0"}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    assert write_file(tmp_path / "a.txt", "one").read_text() == "one"
    write_file(tmp_path / "a.txt", b"two")
    assert (tmp_path / "a.txt").read_bytes() == b"two"

    def half_written() -> None:
        with write.replacing(tmp_path / "a.txt") as part:
            part.write_text("thr")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        half_written()
    assert (tmp_path / "a.txt").read_bytes() == b"two"
    assert names(tmp_path) == ["a.txt"]
    write_file(tmp_path / "b.txt", "half of a \udcff name")
    with pytest.raises(OSError, match="No such file"):
        write_file(tmp_path / "nowhere" / "a.txt", "x")


def test_what_a_killed_process_leaves_is_cleared_by_the_next_write(tmp_path: Path) -> None:
    killed(
        tmp_path,
        "with write.beside(folder / 'out') as room:\n"
        "    (room / 'large').write_bytes(b'0' * 1000)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)",
    )
    assert [name[: len(PREFIX)] for name in names(tmp_path)] == [PREFIX]
    write_file(tmp_path / "a.txt", "one")
    assert names(tmp_path) == ["a.txt"]


def test_the_folder_of_a_process_that_lives_stays(tmp_path: Path) -> None:
    with beside(tmp_path / "out") as room:
        (room / "mine").write_text("x")
        sweep(tmp_path)
        write_file(tmp_path / "a.txt", "one")
        assert (room / "mine").read_text() == "x"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    "mark", [None, "", "{}", '{"kind": "something"}', "[" * 100_000, "\x00\xff"]
)
def test_a_folder_of_somebody_else_is_never_touched(tmp_path: Path, mark: str | None) -> None:
    other = tmp_path / f"{PREFIX}0123456789ab"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    if mark is not None:
        (other / MARK).write_text(mark)
    (tmp_path / f"{PREFIX}link").symlink_to(other)
    sweep(tmp_path)
    assert (other / "thesis.txt").read_text() == "mine"
    assert (tmp_path / f"{PREFIX}link").is_symlink()


def test_a_folder_is_exchanged_and_the_old_one_goes(tmp_path: Path) -> None:
    results(tmp_path / "out", "old")
    with beside(tmp_path / "out") as room:
        (room / "new.txt").write_text("new")
        exchange(room, tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["new.txt"]


@pytest.mark.parametrize("step", range(1, 6))
def test_where_folders_cannot_be_exchanged_a_kill_is_finished_by_the_next_run(
    tmp_path: Path, step: int
) -> None:
    """Killed at its first, second, ... rename: the old folder, or the new one after a sweep."""
    results(tmp_path / "out", "old")
    body = f"""
count = 0
def counted(do):
    def done(*given, **more):
        global count
        count += 1
        if count == {step}:
            os.kill(os.getpid(), signal.SIGKILL)
        return do(*given, **more)
    return done
write._exchanged = lambda one, other: False
os.rename, os.replace = counted(os.rename), counted(os.replace)
with write.beside(folder / "out") as room:
    (room / "summary.json").write_text("new")
    write.exchange(room, folder / "out")
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed(tmp_path, body)
    sweep(tmp_path)
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["summary.json"]
    said = (tmp_path / "out" / "summary.json").read_text()
    assert said == "new" if step > 1 else '"old"' in said


@pytest.mark.parametrize("step", range(1, 10))
def test_several_files_are_one_result_whenever_the_run_is_killed(tmp_path: Path, step: int) -> None:
    """The record goes first and comes last; names of the old and the new are partly the same."""
    for name in ("record", "a", "b"):
        (tmp_path / name).write_text("old")
    body = f"""
count = 0
def counted(do):
    def done(*given, **more):
        global count
        count += 1
        if count == {step}:
            os.kill(os.getpid(), signal.SIGKILL)
        return do(*given, **more)
    return done
os.rename, os.replace = counted(os.rename), counted(os.replace)
with write.beside(folder / "set") as room:
    for name in ("a", "c", "record"):
        (room / name).write_text("new")
    moves = {{f"new/{{name}}": name for name in ("a", "c", "record")}}
    write.move_all(room.parent, moves, removes=["record", "a", "b"])
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed(tmp_path, body)
    for _ in range(2):
        sweep(tmp_path)
        said = {path.name: path.read_text() for path in tmp_path.iterdir()}
        old = dict.fromkeys(("record", "a", "b"), "old")
        assert said == (old if step == 1 else dict.fromkeys(("record", "a", "c"), "new"))


def test_the_exchange_is_the_systems_own_here(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("renameat2 is Linux's")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert write._exchanged(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").exists()
    with pytest.raises(FileNotFoundError):
        write._exchanged(tmp_path / "a", tmp_path / "nothing")


def test_several_files_move_as_one_and_only_to_plain_names(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old").touch()
    with beside(tmp_path / "set") as room:
        (room / "x").mkdir()
        (room / "y").write_text("y")
        move_all(room.parent, {"new/x": "x", "new/y": "y"}, removes=["gone"])
    assert names(tmp_path) == ["x", "y"]
    assert names(tmp_path / "x") == []
    (tmp_path / "in").mkdir()
    with beside(tmp_path / "in" / "set") as room:
        (room / "y").write_text("evil")
        move_all(room.parent, {"new/y": "../y"})
    assert (tmp_path / "y").read_text() == "y"


def test_only_results_of_ours_are_replaced(tmp_path: Path) -> None:
    ours = results(tmp_path / "ours", "old")
    assert check_output(ours, overwrite=True) == ours
    for k, text in enumerate(("", "[]", '{"kind": "audit"}', '{"accuracy": 1}', "[" * 100_000)):
        other = tmp_path / f"other{k}"
        other.mkdir()
        (other / "summary.json").write_text(text)
        assert not is_results(other)
        with pytest.raises(MajorantError, match="no results of Majorant"):
            check_output(other, overwrite=True)


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "~nosuchuser/x", "x" * 300])
def test_names_that_cannot_be_are_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(MajorantError):
        check_output(name)
    with pytest.raises(MajorantError):
        check_file(name)


def test_a_file_never_takes_the_place_of_a_device_a_pipe_or_a_link(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        with pytest.raises(MajorantError, match="no file that can be replaced"):
            check_file(place)
    (tmp_path / "true").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "true")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert check_file(tmp_path / "link") == tmp_path / "true"
    with pytest.raises(MajorantError):
        check_file(tmp_path / "loop")


def test_room_is_asked_for(tmp_path: Path) -> None:
    require_room(tmp_path / "not" / "there", 1, "a byte", "go elsewhere")
    with pytest.raises(MajorantError, match=r"a mountain takes 1e\+09 GB .* go elsewhere"):
        require_room(tmp_path, 10**18, "a mountain", "go elsewhere")
