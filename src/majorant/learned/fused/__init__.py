"""MM-Net on the processor: the same formulas, with one loop between any two matrix products.

A solver of this kind is a chain of matrix products, and should take what they take. So arrays are
(samples and times, sources) and written in place; what lies between two products is one compiled
loop (``kernels.py``); products that read the same array (lead field, first layer of the prior and
the step's look at the sources), or whose results are added (the transposes of the first two), are
one product; weights are laid out beforehand as the products read them; and samples take their steps
some at a time, so that what one product leaves is in the cache for the next.

Nothing is decided here: energies are sums in float64 without cancellation, as ever, and the guard
asks them. What the formulas are is said where they are written for any network and device:
``energies/cosine.py``, ``learned/unrolled.py``, ``networks/convlstm.py``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeGuard

import torch

from majorant.learned.network import UnrolledNetwork
from majorant.learned.unrolled import MMNetwork
from majorant.problem import Problem


def suits(network: UnrolledNetwork[Any], problem: Problem) -> TypeGuard[MMNetwork]:
    """Whether a problem can be taken by the formulas here, and there is a compiler for the loops.

    They are for a network that looks at sources point by point in time, as the packaged ones do, a
    lead field that is one matrix, and float32 on the processor.

    Parameters
    ----------
    network : UnrolledNetwork
    problem : Problem
    """
    settings, matrix = network.settings, problem.operator.matrix()
    if not isinstance(network, MMNetwork) or matrix is None or matrix.ndim != 2:
        return False
    first, _, last = settings.prior_kernels
    pointwise = first == last == settings.outer == 1 and settings.step == "diagonal"
    usual = problem.y.dtype == matrix.dtype == torch.float32 and problem.y.is_cpu
    return pointwise and usual and _compiles()


@cache
def _compiles() -> bool:
    """Whether numba is there and works; it is imported when it is first needed."""
    try:
        import majorant.learned.fused.kernels  # noqa: F401
    except ImportError:
        return False
    return True
