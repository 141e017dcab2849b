"""Pickles in the place of sessions: nothing of them runs, and none crashes or stalls the reader."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from majorant.bench.things_file import read_session
from majorant.bench.things_pickle import read_pickled
from majorant.errors import MajorantError

HEADER = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (), }"


def file(path: Path, instructions: bytes) -> Path:
    """A file of numpy.save whose pickle is these instructions."""
    path.write_bytes(HEADER.ljust(127) + b"\n" + instructions)
    return path


class State:
    """A dtype whose state is a lie; `dtype.__setstate__` crashes on some of them."""

    def __init__(self, *state: Any) -> None:
        self.state = state

    def __reduce__(self) -> Any:
        return np.dtype, ("f8", False, True), self.state


class Call:
    def __init__(self, what: Any, *given: Any) -> None:
        self.what, self.given = what, given

    def __reduce__(self) -> Any:
        return self.what, self.given


def nested() -> list[Any]:
    """Ten lists of lists of the same list: ten billion things once they are all told apart."""
    held: list[Any] = [0]
    for _ in range(10):
        held = [held] * 10
    return held


@pytest.mark.parametrize(
    "held",
    [
        {"a": State(3, "<", None, ("x",), {"x": (np.dtype("f8"), 2**40)}, 8, 8, 0)},
        {"a": State(3, "<", (np.dtype("f8"), (2**40,)), None, None, -1, -1, 0)},
        {"a": State(10**30)},
        {"a": State()},
        {"a": Call(print, "ran")},
        {"a": Call(eval, "1/0")},
        {"a": Call(np.ndarray, (2**40,))},
        {"a": nested()},
        {"a": np.array(["x"])},
        {"a": np.array([1 + 2j])},
        {"a": {1: 2}},
    ],
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_what_a_pickle_may_not_is_refused(tmp_path: Path, held: Any, protocol: int, capsys) -> None:
    path = file(tmp_path / "raw_eeg_test.npy", pickle.dumps(np.array(held, object), protocol))
    with pytest.raises(MajorantError):
        read_session(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "instructions",
    [
        b"\x80\x04.",
        b"\x80\x04]\x94h\x00a.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x80\x04" + b"(" * 100_000,
        b"\x80\x04cnumpy\nndarray\n.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04u.",
        b"\x80\x04" + b"]" * 3000 + b"." ,
    ],
)  # fmt: skip
def test_instructions_that_fit_nothing_are_refused(tmp_path: Path, instructions: bytes) -> None:
    with pytest.raises(MajorantError):
        read_session(file(tmp_path / "raw_eeg_test.npy", instructions))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_arrays_of_every_protocol_come_back(tmp_path: Path, protocol: int) -> None:
    held = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
        "c": ["x", "y"],
        "d": np.float64(2.5),
        "e": (1, None, True),
        "f": np.array([1.0, 2.0], dtype=">f4"),
    }
    path = file(tmp_path / "a.npy", pickle.dumps(np.array(held, object), protocol))
    with path.open("rb") as stream:
        found = read_pickled(stream)
    assert np.array_equal(found["a"], held["a"])
    assert np.array_equal(found["b"], held["b"])
    assert np.array_equal(found["f"], held["f"])
    assert (found["c"], found["d"], found["e"]) == (["x", "y"], 2.5, [1, None, True])
