"""Solvers of an audit, set up as `majorant image` sets them up: their own defaults."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from majorant import registry
from majorant.audit.heads import AuditHead
from majorant.audit.trials import SFREQ, AuditTrials
from majorant.errors import MajorantError
from majorant.solvers.loop import solve

__all__ = ["check_solver", "depth_prior", "imager", "weights_of"]

LIMIT = 10.0
"""Ratio of amplitudes at which the depth weighting ends, as in MNE-Python."""


def check_solver(name: str, head: AuditHead) -> None:
    """Refuse a solver that cannot work on a head.

    Raises
    ------
    MajorantError
        One sentence.
    """
    own = registry.spec(name)
    if own.abilities.space == "regions" and head.believed.kind != "regions":
        raise MajorantError(
            f"{own.title} works on the 994 regions of the template, not on a head of one's own"
        )
    own.make().require(head.believed.operator())


def weights_of(name: str) -> str:
    """Return a sha256 of what a learned solver learned, or nothing for a classical one."""
    module = registry.spec(name).make().learned()
    if module is None:
        return ""
    total = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        total.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def imager(name: str, trials: AuditTrials) -> Callable[[Tensor, float], Tensor]:
    """Return what makes maps from patches.

    Returns
    -------
    callable
        From patch numbers (n_batch,) and a level in dB to estimates at the time at which the
        patches are strongest, (n_batch, n_locations).
    """
    own = registry.spec(name)
    solver = own.make().at(SFREQ)
    depth = own.abilities.depth
    prior = None if depth is None else depth_prior(trials.gain, depth).float()

    def run(index: Tensor, level_db: float) -> Tensor:
        problem, peak = trials.problem(index, level_db, prior)
        with torch.no_grad():
            solution = solve(problem, solver)
        return solution.estimate[torch.arange(len(index)), :, peak]

    return run


def depth_prior(gain: Tensor, exponent: float) -> Tensor:
    """Prior variances that grow with depth, shape (n_locations,), largest 1.

    The weighting of `mne.forward.compute_depth_prior` for fixed orientation: the inverse power of
    every column to the exponent, limited to a ratio of 10 in amplitude.
    """
    weight = 1.0 / gain.square().sum(dim=0).clamp_min(torch.finfo(gain.dtype).tiny)
    return (weight / weight.min()).clamp_max(LIMIT**2).div(LIMIT**2) ** exponent
