"""Packages that only some commands need: imported when they are needed, or named in one sentence.

What the core has and what an extra brings is weighed in ``docs/dependencies.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from majorant.errors import MajorantError

__all__ = ["EXTRAS", "needed"]

EXTRAS: Mapping[str, tuple[str, str, str]] = {
    "ot": ("the earth mover's distance", "POT", "bench"),
    "zarr": ("a store of continuous estimates (.zarr)", "zarr", "continuous"),
    "h5io": ("a forward solution in HDF5", "h5io", "formats"),
    "imageio_ffmpeg": (
        "an .mp4, where no ffmpeg is on the path (a .gif needs none),",
        "imageio-ffmpeg",
        "movie",
    ),
    "eeglabio": ("a .set of EEGLAB", "eeglabio", "eeglab"),
}
"""By module: what needs it, the package as it is called, and our extra that installs it."""


def needed(module: str) -> Any:
    """Import a module of :data:`EXTRAS`.

    Raises
    ------
    MajorantError
        If it is not installed, naming the extra.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        what, package, extra = EXTRAS[module]
        raise MajorantError(
            f"{what} needs {package}, which is not installed: pip install 'majorant[{extra}]'"
        ) from error
