"""How much memory the machine has left, for those who would fill it."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = ["available", "fits"]

UNKNOWN = 4 << 30
"""Taken where a system does not tell."""

SHARE = 0.4
"""Of what is left, that one array may take: it is copied at least once on its way."""


def fits(n_bytes: int) -> bool:
    """Whether an array may be made at all on this machine."""
    return n_bytes <= SHARE * available()


def available() -> int:
    """Bytes that this process may still take, the limit of its container included."""
    return min(_of_system(), _of_container())


def _of_system() -> int:
    if sys.platform == "win32":
        return _of_windows()
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return 1024 * int(value.split()[0])
    except (OSError, ValueError, IndexError):
        pass
    try:
        # What is free is not told everywhere (macOS); what there is, is.
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError, AttributeError):
        return UNKNOWN


def _of_container() -> int:
    """What the control group of the process leaves, where there is one (Linux)."""
    folder = Path("/sys/fs/cgroup")
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return int((folder / most).read_text()) - int((folder / used).read_text())
        except (OSError, ValueError):
            continue
    return sys.maxsize


class _Status(ctypes.Structure):
    """``MEMORYSTATUSEX`` of Windows."""

    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        *((name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")),
    )


def _of_windows() -> int:
    status = _Status()
    status.length = ctypes.sizeof(_Status)
    windows = getattr(ctypes, "windll", None)
    if windows is None or not windows.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return UNKNOWN
    return int(status.free)
