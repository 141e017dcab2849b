"""The names of version 0.1: scripts that import from ``majorant.eeg`` go on working, and are told.

The room was divided into `recording`, `head`, `imager`, `findings` and `imaging`. This file maps
the old names to the new ones and goes with version 0.3.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "account": "account",
    "average": "recording.average",
    "cautions": "findings.cautions",
    "channels": "recording.channels",
    "continuous": "imaging.continuous",
    "demo": "imaging.demo",
    "forward": "head.model",
    "heads": "head.simulated",
    "image": "imaging.image",
    "imager": "imager.imager",
    "inverse": "imager.inverse",
    "montage": "recording.montage",
    "noise": "recording.noise",
    "output": "imaging.write",
    "peaks": "findings.peaks",
    "places": "head.places",
    "prepare": "recording.prepare",
    "recording": "recording.file",
    "result": "imaging.result",
    "sensors": "recording.sensors",
    "settings": "recording.settings",
    "spaces": "head.spaces",
    "store": "imager.store",
    "streams": "imager.streams",
    "template": "head.template",
    "uncertainty": "findings.uncertainty",
}
__path__: list[str] = []
"""Makes this file a package, so that its old submodules can be asked for."""


class _Moved(MetaPathFinder, Loader):
    """Answers for a module of the old room with the module that took its place."""

    own: ModuleSpec | None = None

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        room, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if room == __name__ and name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = f"majorant.{MOVED[spec.name.rpartition('.')[2]]}"
        warnings.warn(f"{spec.name} is {new} now", DeprecationWarning, stacklevel=2)
        module = import_module(new)
        self.own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """The new module has run already; it keeps its own description."""
        module.__spec__ = self.own


sys.meta_path.append(_Moved())
