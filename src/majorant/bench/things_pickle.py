"""A dictionary of arrays out of a pickle, read by hand: no code of the file, nor of pickle, runs.

The raw files of THINGS-EEG2 are what `numpy.save` makes of a dictionary: a header and a pickle.
Even a pickle that may name nothing but NumPy's own parts can crash the interpreter, for
``dtype.__setstate__`` trusts what it is given. So its instructions are interpreted here: plain
values, lists and dictionaries, and arrays of the fixed types below, which are made from their bytes
and shape alone. Whatever else a file asks for is refused by name. The list of instructions is that
of :mod:`pickletools`, which reads and runs nothing.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_pickled"]

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 1024
OBJECT = re.compile(
    r"\{'descr': '\|O', 'fortran_order': False, 'shape': \(\), ?\}\s*", re.ASCII
)  # fmt: skip
KINDS = ("f8", "f4", "i8", "i4", "i2", "u1", "b1", "O8")
DEEPEST, MOST = 2100, 100_000
"""Things on the stack, and instructions: a session has a few hundred."""
ARRAY, DTYPE, MAKE, SCALAR, BUFFER, ENCODE = "array", "dtype", "make", "scalar", "buffer", "encode"
NAMES = {
    ("numpy", "ndarray"): ARRAY,
    ("numpy", "dtype"): DTYPE,
    ("_codecs", "encode"): ENCODE,
    **{
        (f"numpy.{core}.{module}", name): what
        for core in ("core", "_core")
        for module, name, what in (
            ("multiarray", "_reconstruct", MAKE),
            ("multiarray", "scalar", SCALAR),
            ("numeric", "_frombuffer", BUFFER),
        )
    },
}


@dataclass(frozen=True)
class _Name:
    """A part of NumPy that the file asks for; never the part itself."""

    what: str


@dataclass
class _Kind:
    """A type of numbers, as the file describes it."""

    code: str
    order: str = "<"

    def dtype(self) -> np.dtype[Any]:
        """The type, by its name alone."""
        return np.dtype(self.code if self.code in ("u1", "b1") else self.order + self.code)


@dataclass
class _Array:
    """An array to come: empty until it is told its state."""

    value: Any = None


@dataclass
class _Mark:
    """Where a list of arguments begins."""


@dataclass
class _Machine:
    """Stack and memory of the instructions."""

    stack: list[Any] = field(default_factory=list)
    memory: dict[int, Any] = field(default_factory=dict)

    def since_mark(self) -> list[Any]:
        """Take what lies above the last mark."""
        marks = [k for k, held in enumerate(self.stack) if isinstance(held, _Mark)]
        place = marks[-1]
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken


def read_pickled(stream: BinaryIO) -> Any:
    """Read what `numpy.save` made of a dictionary.

    Parameters
    ----------
    stream : binary file

    Returns
    -------
    object
        What the array of shape () holds: plain values, lists, dictionaries and arrays.

    Raises
    ------
    ValueError
        If it is another file, or asks for anything else; the sentence says what.
    """
    _skip_header(stream)
    machine = _Machine()
    try:
        for count, (code, argument, _) in enumerate(pickletools.genops(stream)):
            if code.name == "STOP":
                break
            if count > MOST or len(machine.stack) > DEEPEST:
                raise ValueError("it has more parts than a session has")
            act = _ACTS.get(code.name)
            if act is None:
                raise ValueError(f"it asks for {code.name.lower()}, which is no plain value")
            act(machine, argument)
        (found,) = machine.stack
    except (IndexError, KeyError, TypeError, AttributeError, MemoryError, OverflowError) as error:
        raise ValueError(f"its parts do not fit together ({type(error).__name__})") from error
    if not isinstance(found, _Array) or not isinstance(found.value, list) or len(found.value) != 1:
        raise ValueError("it holds no dictionary")
    return _plain(found.value[0], 0, {})


def _skip_header(stream: BinaryIO) -> None:
    """Read the header of NumPy's format: an array of one object, and nothing else."""
    start = stream.read(len(MAGIC) + 2)
    if start[: len(MAGIC)] != MAGIC or start[-2:] not in (b"\x01\x00", b"\x02\x00"):
        raise ValueError("it is no file of numpy.save")
    length = int.from_bytes(stream.read(2 if start[-2] == 1 else 4), "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"its header has {length} bytes")
    if OBJECT.fullmatch(stream.read(length).decode("latin-1")) is None:
        raise ValueError("it holds an array, and the raw files of THINGS-EEG2 hold a dictionary")


def _plain(value: Any, depth: int, known: dict[int, Any]) -> Any:
    """Arrays for what became arrays; nothing unfinished and no part of NumPy is handed out.

    What stands in several places is made once: lists of lists of the same list would be many.
    """
    if depth > 4:
        raise ValueError("it is nested more deeply than a session")
    if isinstance(value, _Array):
        value = value.value
        if not isinstance(value, list):
            return value
    if isinstance(value, _Name | _Kind | _Mark):
        raise ValueError("it holds a type in place of a value")
    if not isinstance(value, list | tuple | dict):
        return value
    if id(value) not in known:
        known[id(value)] = (
            {str(key): _plain(part, depth + 1, known) for key, part in value.items()}
            if isinstance(value, dict)
            else [_plain(part, depth + 1, known) for part in value]
        )
    return known[id(value)]


def _named(machine: _Machine, module: str, name: str) -> None:
    if (module, name) not in NAMES:
        raise ValueError(f"it asks for {module}.{name}")
    machine.stack.append(_Name(NAMES[module, name]))


def _call(machine: _Machine) -> None:
    """Make a type or an array; what was named says which."""
    given, name = machine.stack.pop(), machine.stack.pop()
    if not isinstance(name, _Name) or not isinstance(given, tuple):
        raise ValueError("it calls what it may not")
    made: Any
    if name.what == DTYPE:
        if given[0] not in KINDS:
            raise ValueError(f"it holds numbers of the type {str(given[0])[:20]}")
        made = _Kind(given[0])
    elif name.what == MAKE:
        made = _Array()
    elif name.what == SCALAR:
        made = _array(given[0], given[1], ())[()]
    elif name.what == BUFFER:
        made = _Array(_array(given[1], given[0], given[2], given[3] == "F"))
    elif name.what == ENCODE:
        made = given[0].encode("latin-1")
    else:
        raise ValueError("it calls what it may not")
    machine.stack.append(made)


def _build(machine: _Machine) -> None:
    """Tell a type its order of bytes, or an array its numbers."""
    state, held = machine.stack.pop(), machine.stack[-1]
    if isinstance(held, _Kind) and isinstance(state, tuple) and state[1] in ("<", ">", "|", "="):
        held.order = state[1] if state[1] in "<>" else "<"
        if any(state[k] is not None for k in (2, 3, 4)):
            raise ValueError("it holds numbers of a type with fields")
    elif isinstance(held, _Array) and held.value is None and isinstance(state, tuple):
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Kind):
            raise ValueError("it holds an array of no type")
        if kind.code == "O8":
            if not isinstance(content, list) or not _shape_of(shape, len(content)):
                raise ValueError("its list is not as long as it says")
            held.value = content
        else:
            held.value = _array(kind, content, shape, bool(fortran))
    else:
        raise ValueError("it changes what it may not")


def _array(kind: Any, content: Any, shape: Any, fortran: bool = False) -> NDArray[Any]:
    """Make an array of its bytes, once they are as many as its shape needs."""
    if not isinstance(kind, _Kind) or kind.code == "O8":
        raise ValueError("it holds an array of no plain numbers")
    if not isinstance(content, bytes | bytearray):
        raise ValueError("its numbers are no bytes")
    dtype = kind.dtype()
    if not _shape_of(shape, len(content) // dtype.itemsize) or len(content) % dtype.itemsize:
        raise ValueError(f"{len(content)} bytes do not fill an array of shape {str(shape)[:40]}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _shape_of(shape: Any, size: int) -> bool:
    """Whether a shape holds so many numbers."""
    if not isinstance(shape, tuple) or len(shape) > 3:
        return False
    return all(type(n) is int and 0 <= n < 2**40 for n in shape) and math.prod(shape) == size


def _put(machine: _Machine, key: int) -> None:
    machine.memory[key] = machine.stack[-1]


def _set_items(machine: _Machine, pairs: list[Any]) -> None:
    held = machine.stack[-1]
    if not isinstance(held, dict) or not all(isinstance(key, str) for key in pairs[::2]):
        raise ValueError("it fills what is no dictionary of words")
    held.update(zip(pairs[::2], pairs[1::2], strict=True))


def _append(machine: _Machine, values: list[Any]) -> None:
    held = machine.stack[-1]
    if not isinstance(held, list):
        raise ValueError("it fills what is no list")
    held.extend(values)


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    _named(machine, module, name)


def _stack_global(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    _named(machine, str(module), str(name))


def _last(machine: _Machine, n: int) -> tuple[Any, ...]:
    """Take the last few things off the stack."""
    if len(machine.stack) < n:
        raise IndexError(n)
    taken = tuple(machine.stack[-n:])
    del machine.stack[-n:]
    return taken


_VALUES = (
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "BINFLOAT", "FLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8",
)  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


def _pushed(make: Callable[[], Any]) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(make())


_ACTS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    **{name: lambda machine, value: machine.stack.append(value) for name in _VALUES},
    **{name: _pushed(lambda value=value: value) for name, value in _CONSTANTS.items()},
    "EMPTY_DICT": _pushed(dict),
    "EMPTY_LIST": _pushed(list),
    "EMPTY_TUPLE": _pushed(tuple),
    "MARK": _pushed(_Mark),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(_last(machine, 1)),
    "TUPLE2": lambda machine, _: machine.stack.append(_last(machine, 2)),
    "TUPLE3": lambda machine, _: machine.stack.append(_last(machine, 3)),
    "APPEND": lambda machine, _: _append(machine, [*_last(machine, 1)]),
    "APPENDS": lambda machine, _: _append(machine, machine.since_mark()),
    "SETITEM": lambda machine, _: _set_items(machine, [*_last(machine, 2)]),
    "SETITEMS": lambda machine, _: _set_items(machine, machine.since_mark()),
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "PUT": _put,
    "MEMOIZE": lambda machine, _: _put(machine, len(machine.memory)),
    "BINGET": lambda machine, key: machine.stack.append(machine.memory[key]),
    "LONG_BINGET": lambda machine, key: machine.stack.append(machine.memory[key]),
    "GET": lambda machine, key: machine.stack.append(machine.memory[key]),
    "GLOBAL": _global,
    "STACK_GLOBAL": lambda machine, _: _stack_global(machine),
    "REDUCE": lambda machine, _: _call(machine),
    "BUILD": lambda machine, _: _build(machine),
}
