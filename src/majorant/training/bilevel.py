"""Truncated bilevel training: unroll a few steps, differentiate through all of them.

The inner problem is the solver's own: ``I`` steps of the network on the cosine energy, free or
under the guard of :mod:`majorant.training.descent`. The outer loss compares the last iterate with
the truth. Gradients of the energy are in closed form, so the unrolled solver is an ordinary forward
computation and one backward pass is enough.

Source: the MM-Net paper (arXiv 2026), the training loss of both versions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from majorant.energies.cosine import CosineEnergy
from majorant.energies.lengths import dot, inverse, norm
from majorant.learned.network import Geometry, UnrolledNetwork
from majorant.problem import Problem
from majorant.training.descent import Descent, level_of

KEPT = 0.3
"""Share of iterations, the last ones, that checkpointing keeps: the backward pass asks for them at
once, so recomputing them would cost time and save nothing after it."""


@dataclass(frozen=True)
class Loss:
    """The outer loss of a batch.

    Attributes
    ----------
    total : Tensor, shape ()
        What is minimised.
    truth, prior : Tensor, shape ()
        ``mean (1 - cos(x*, x_I))``, and the prior's part.
    """

    total: Tensor
    truth: Tensor
    prior: Tensor


Iteration = Callable[
    [UnrolledNetwork[Any], CosineEnergy, Tensor, Any, Geometry], tuple[Tensor, Any]
]
"""From a point and a memory to the next ones."""


def iterate(
    network: UnrolledNetwork[Any], energy: CosineEnergy, x: Tensor, memory: Any, geometry: Geometry
) -> tuple[Tensor, Any]:
    """Take one step of the network: what is unrolled, and what may be compiled."""
    return network.step(x, energy.gradient(x), memory, geometry)


@dataclass(frozen=True)
class Unrolling:
    """How far a network is unrolled, and under what.

    Attributes
    ----------
    iterations : int or None
        None takes the network's own number.
    guard : Descent or None
        Judges every window of iterations; None lets the network run free.
    warm : int
        Iterations that run first without a gradient, memory included.
    checkpointing : bool
        Recompute iterations in the backward pass instead of keeping what they need; but for the
        last ones (:data:`KEPT`), which it begins with.
    """

    iterations: int | None = None
    guard: Descent | None = None
    warm: int = 0
    checkpointing: bool = False


def unroll(
    network: UnrolledNetwork[Any],
    problem: Problem,
    geometry: Geometry,
    how: Unrolling | None = None,
    *,
    generator: torch.Generator | None = None,
    iteration: Iteration = iterate,
) -> list[Tensor]:
    """Run the network and keep every iterate.

    Parameters
    ----------
    network : UnrolledNetwork
    problem : Problem
        At the rate of the network.
    geometry : Geometry
        Of the problem's operator, from ``network.geometry``.
    how : Unrolling or None
        None takes the network's own number of iterations, free.
    generator : torch.Generator or None
        Draws starts from noise anew; None takes the solver's fixed start.
    iteration : callable
        One step; a compiled :func:`iterate`, say.

    Returns
    -------
    list of Tensor, each (n_batch, n_columns, n_times)
        Without the warm ones. The last of a window is what the guard kept.
    """
    how = how or Unrolling()
    energy = CosineEnergy(problem, network.prior, network.settings.weight)
    x = network.start(problem, generator)
    state = (x, network.begin(x))
    if how.warm:
        with torch.no_grad():
            warmed = _windows(network, energy, geometry, state, how.warm, how.guard, iteration)
            for reached in warmed:
                state = reached

    n = network.settings.iterations if how.iterations is None else how.iterations
    ahead = itertools.count(n - 1, -1)

    def recomputed(*given: Any) -> tuple[Tensor, Any]:
        if next(ahead) < KEPT * n:
            return iteration(*given)
        return checkpoint(iteration, *given, use_reentrant=False, preserve_rng_state=False)

    once = recomputed if how.checkpointing else iteration
    return [x for x, _ in _windows(network, energy, geometry, state, n, how.guard, once)]


def _windows(
    network: UnrolledNetwork[Any],
    energy: CosineEnergy,
    geometry: Geometry,
    state: tuple[Tensor, Any],
    n: int,
    guard: Descent | None,
    iteration: Iteration,
) -> Iterator[tuple[Tensor, Any]]:
    """Take ``n`` steps from a point and a memory, judged window by window."""
    x, memory = state
    accepted, level = x, None if guard is None else level_of(energy, x)
    for k in range(1, n + 1):
        x, memory = iteration(network, energy, x, memory, geometry)
        if guard is not None and level is not None and (k % guard.window == 0 or k == n):
            x, level = guard.keep(energy, accepted, level, x)
            accepted = x
        yield x, memory


def bilevel_loss(
    network: UnrolledNetwork[Any],
    iterates: Sequence[Tensor],
    truth: Tensor,
    *,
    version: Literal[1, 2] = 2,
    deep: float = 0.0,
    support: float = 0.0,
) -> Loss:
    """Return the outer loss of unrolled iterates.

    Parameters
    ----------
    network : UnrolledNetwork
    iterates : sequence of Tensor, each (n_batch, n_columns, n_times)
    truth : Tensor, shape (n_batch, n_columns, n_times)
    version : {1, 2}
        The prior's part: ``1 - cos(x*, Phi(x*))`` in the first version of the paper,
        ``1 - cos(x_I, Phi(x_I))`` in the second.
    deep : float
        Weight of the mean loss of the earlier iterates; 0 in the paper.
    support : float
        Weight of the distance between compressed amplitudes of truth and last iterate, which
        counts the weak border of a patch; 0 in the paper.
    """
    last = iterates[-1]
    judged = truth if version == 1 else last
    of_truth = distance(truth, last).mean()
    of_prior = distance(judged, network.prior(judged)).mean()
    total = of_truth + of_prior
    if deep and len(iterates) > 1:
        earlier = torch.stack([distance(truth, x).mean() for x in iterates[:-1]])
        total = total + deep * earlier.mean()
    if support:
        fitted = last * (norm(truth) * inverse(norm(last))).to(last.dtype)[:, None, None]
        total = total + support * distance(compressed(truth), compressed(fitted)).mean()
    return Loss(total, of_truth, of_prior)


def compressed(x: Tensor, knee: float = 0.01) -> Tensor:
    """Return ``x / sqrt(|x| + knee)``: square roots of amplitudes, smooth at zero."""
    return x * torch.rsqrt(x.abs() + knee)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """``1 - cos(a, b)`` in the plain form, cheap to differentiate; float64, shape (n_batch,)."""
    return 1.0 - dot(a, b) * inverse(norm(a)) * inverse(norm(b))
