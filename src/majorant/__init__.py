"""Majorant: source imaging for EEG and MEG with solvers whose guarantees hold.

Names are loaded when they are first used, so that ``import majorant`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Certificate": "majorant.problem",
    "FunctionOperator": "majorant.problem",
    "Guard": "majorant.majorants.guard",
    "Leadfield": "majorant.forward.leadfield",
    "MajorantError": "majorant.errors",
    "MatrixOperator": "majorant.problem",
    "Problem": "majorant.problem",
    "Solution": "majorant.problem",
    "SourceImager": "majorant.imager.imager",
    "Status": "majorant.problem",
    "make": "majorant.registry",
    "recover": "majorant.arrays",
    "solve": "majorant.solvers.loop",
}

__all__ = [
    "Certificate",
    "FunctionOperator",
    "Guard",
    "Leadfield",
    "MajorantError",
    "MatrixOperator",
    "Problem",
    "Solution",
    "SourceImager",
    "Status",
    "__version__",
    "make",
    "recover",
    "solve",
]

if TYPE_CHECKING:
    from majorant.arrays import recover
    from majorant.forward.leadfield import Leadfield
    from majorant.imager.imager import SourceImager
    from majorant.majorants.guard import Guard
    from majorant.problem import (
        Certificate,
        FunctionOperator,
        MajorantError,
        MatrixOperator,
        Problem,
        Solution,
        Status,
    )
    from majorant.registry import make
    from majorant.solvers.loop import solve


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'majorant' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
