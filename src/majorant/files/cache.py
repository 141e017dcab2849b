"""The user's cache folder: verified files under a key of everything that determines them.

`MAJORANT_CACHE` names the folder; without it, `$XDG_CACHE_HOME/majorant` or `~/.cache/majorant`. A
damaged file is made again, and that is said; where the folder cannot be written, everything works
without it, and that is said too.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from majorant.errors import DamagedFile, MajorantError
from majorant.files.archive import content_hash, read_archive, write_archive

__all__ = ["Cache", "cache_folder"]

Content = tuple[Mapping[str, Tensor], Mapping[str, Any]]

_UNKEPT: dict[Path, Content] = {}
"""What could not be written, for as long as the program runs."""


def cache_folder() -> Path:
    """Return the folder in which the template is kept."""
    own = os.environ.get("MAJORANT_CACHE")
    if own:
        try:
            return Path(own).expanduser()
        except RuntimeError as error:
            raise MajorantError(
                f"MAJORANT_CACHE is {own}, and there is no such user; write the path out"
            ) from error
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "majorant"


class Cache:
    """Contents that are made once.

    Parameters
    ----------
    progress : callable, optional
        Takes a line of text for every step that takes time, and for every mishap; without it,
        mishaps are warnings.
    """

    def __init__(self, progress: Callable[[str], None] | None = None) -> None:
        self.folder = cache_folder()
        self.progress = progress
        self.writable = True

    def step(self, text: str) -> None:
        """Say what is being done, to whoever asked for progress."""
        if self.progress is not None:
            self.progress(text)

    def mishap(self, text: str) -> None:
        """Say what went wrong, though the result is right."""
        if self.progress is not None:
            self.progress(text)
        else:
            warnings.warn(text, UserWarning, stacklevel=2)

    def path(self, kind: str, key: Any) -> Path:
        """Return where a content is kept."""
        return self.folder / f"{kind}-{content_hash(key)[:20]}.safetensors"

    def get(self, kind: str, version: int, key: Any, build: Callable[[], Content]) -> Content:
        """Return a content from the cache, or build and keep it.

        Parameters
        ----------
        kind, version : str, int
            What the content is, and the version of its layout.
        key : JSON-serialisable
            Everything that determines the content.
        build : callable
            Makes the content.

        Returns
        -------
        tensors : mapping of str to Tensor
        info : mapping
        """
        path = self.path(kind, [version, key])
        if path in _UNKEPT:
            return _UNKEPT[path]
        try:
            return read_archive(path, kind=kind, version=version)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (DamagedFile, OSError) as error:
            self.mishap(f"A file of the cache is made again: {error}")
        tensors, info = build()
        self._keep(path, tensors, info, kind, version)
        return tensors, info

    def _keep(
        self,
        path: Path,
        tensors: Mapping[str, Tensor],
        info: Mapping[str, Any],
        kind: str,
        version: int,
    ) -> None:
        if not self.writable:
            _UNKEPT[path] = tensors, info
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_archive(path, tensors, info, kind=kind, version=version)
        except OSError as error:
            self.writable = False
            _UNKEPT[path] = tensors, info
            self.mishap(
                f"The cache folder {self.folder} cannot be written ({error.strerror or error}); "
                "the head is built anew by every program. Set MAJORANT_CACHE to a folder of yours."
            )
