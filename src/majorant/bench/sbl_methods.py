"""The methods that the sparse Bayesian benchmark compares, behind one call.

Classical rules run as many steps as the unfolded network has layers; ``cb-best`` runs as many as
served it best on validation samples, so that nobody can say it was stopped too early or too late.
``mxne`` and ``gamma-map`` are MNE-Python's, ``calibrain`` is calibrain's, on the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from majorant.learned.unfolded import Mode, UnfoldedSBL
from majorant.metrics.transport import SparseJudge
from majorant.networks.corrections import Corrections
from majorant.problem import MajorantError, Problem
from majorant.simulate.sparse import Setting, SparseBatch, SparseLike
from majorant.solvers.champagne import Champagne, Rule
from majorant.solvers.eloreta import ELORETA
from majorant.solvers.linear import SLORETA, MinimumNorm
from majorant.solvers.loop import solve
from majorant.weights.sbl import Packaged

MODES: tuple[Mode, ...] = ("free", "theta", "gated")
LARGER: tuple[Packaged, ...] = ("layers", "attention")
"""Names of the larger networks; they are used in mode "gated"."""

CANDIDATES = (10, 20, 30, 50, 100, 200)
"""Numbers of steps that ``cb-best`` is chosen from."""

CONVERGED = 200
"""Steps of the converged baselines."""

MXNE_ALPHA = 40.0
"""Regularisation of MxNE, percent of that at which nothing is left."""


@dataclass(frozen=True)
class SparseOutcome:
    """What a method made of a batch.

    Attributes
    ----------
    estimate : Tensor, shape (n_batch, n_locations, n_times)
    noise : Tensor or None, shape (n_batch, n_sensors)
        Learned noise variances.
    variance : Tensor or None, shape (n_batch, n_locations)
    cost : Tensor or None, shape (n_batch,)
        Evidence cost.
    rises : int
        Rises of the returned cost.
    is_current : bool
        Whether the estimate is a current (A m) rather than a statistic without an error.
    """

    estimate: Tensor
    noise: Tensor | None = None
    variance: Tensor | None = None
    cost: Tensor | None = None
    rises: int = 0
    is_current: bool = True


Method = Callable[[Problem, Setting], SparseOutcome]


def methods_of(
    networks: Mapping[str, Corrections],
    layers: int,
    best: int,
    *,
    slow: bool = False,
) -> dict[str, Method]:
    """The methods of the benchmark, by name.

    Parameters
    ----------
    networks : mapping of mode, or name of a larger one, to Corrections
        Trained ones.
    layers : int
        Steps of the classical rules (``K``).
    best : int
        Steps of ``cb-best``.
    slow : bool
        Whether MNE-Python's solvers, one sample at a time, are among them.
    """
    rules: Mapping[str, tuple[Rule, int]] = {
        f"cb-{layers}": ("cb", layers),
        f"mackay-{layers}": ("mackay", layers),
        f"em-{layers}": ("em", layers),
        f"cb-best ({best})": ("cb", best),
        f"mackay-{CONVERGED}": ("mackay", CONVERGED),
    }
    made: dict[str, Method] = {name: _classical(rule, k) for name, (rule, k) in rules.items()}
    made |= {
        "mne": _linear(MinimumNorm()),
        "sloreta": _linear(SLORETA()),
        "eloreta": _linear(ELORETA()),
    }
    if slow:
        made |= {"mxne": _mxne, "gamma-map": _gamma_map}
        if calibrain_map() is not None:
            made["calibrain"] = _calibrain
    return made | {
        f"unfolded {name}": _unfolded(net, mode_of(name)) for name, net in networks.items()
    }


def mode_of(name: str) -> Mode:
    """The mode that a network is used in: its name, but for the larger ones."""
    return "gated" if name in LARGER else next(mode for mode in MODES if mode == name)


def best_steps(
    data: SparseLike, judge: SparseJudge, n: int, candidates: Sequence[int] = CANDIDATES
) -> int:
    """Number of convex-bounding steps with the lowest median EMD on validation samples."""
    batch = data.batch(range(n))
    problem, dense = data.problem(batch), dense_map(batch)
    found = {}
    for steps in candidates:
        estimate = solve(problem, Champagne("cb", tol=0.0), max_iter=steps).estimate
        found[steps] = float(judge.score(batch.x, estimate, batch.seeds, dense).emd.median())
    return min(found, key=lambda steps: found[steps])


def dense_map(batch: SparseBatch) -> Tensor:
    """Row norms of the truth where it was made, shape (n_batch, n_vertices)."""
    gram = batch.waves @ batch.waves.mT
    power = (batch.dense * (gram @ batch.dense)).sum(1)
    return power.clamp_min(0).sqrt()


def _solved(problem: Problem, solver: Any, setting: Setting, steps: int | None) -> SparseOutcome:
    solution = solve(problem, solver, max_iter=steps)
    noise = torch.tensor(solution.details["noise_variance"]) if setting == "joint" else None
    return SparseOutcome(
        solution.estimate,
        noise=noise,
        variance=solution.variance,
        cost=solution.certificate.energy[-1],
        rises=int(solution.certificate.violations.sum()),
    )


def _classical(rule: Rule, steps: int) -> Method:
    def run(problem: Problem, setting: Setting) -> SparseOutcome:
        noise = "diagonal" if setting == "joint" else "given"
        return _solved(problem, Champagne(rule, noise, tol=0.0), setting, steps)

    return run


def _unfolded(network: Corrections, mode: Mode) -> Method:
    def run(problem: Problem, setting: Setting) -> SparseOutcome:
        noise = "diagonal" if setting == "joint" else "given"
        return _solved(problem, UnfoldedSBL(network, mode, noise=noise), setting, None)

    return run


def _linear(solver: Any) -> Method:
    def run(problem: Problem, setting: Setting) -> SparseOutcome:
        solution = solve(problem, solver)
        return SparseOutcome(solution.estimate, is_current=solution.unit == "Am")

    return run


def _one_by_one(solver: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Method:
    """A solver of arrays as a method; sensors are scaled to noise one by the linear estimate."""

    def run(problem: Problem, setting: Setting) -> SparseOutcome:
        matrix = problem.operator.matrix()
        if matrix is None:
            raise MajorantError("this method needs the lead field as a matrix")
        leads = matrix.double().expand(problem.n_batch, -1, -1).numpy()
        data = problem.y.double().numpy()
        found = [solver(lead, y) for lead, y in zip(leads, data, strict=True)]
        return SparseOutcome(torch.as_tensor(np.stack(found), dtype=problem.y.dtype))

    return run


def _mixed_norm(lead: np.ndarray, y: np.ndarray) -> np.ndarray:
    from mne.inverse_sparse.mxne_optim import mixed_norm_solver

    length = np.linalg.norm(lead, axis=0)
    unit = lead / length
    limit = np.linalg.norm(unit.T @ y, axis=1).max()
    share = MXNE_ALPHA / 100.0
    weights, active, *_ = mixed_norm_solver(
        y / limit, unit, share, maxit=1000, tol=1e-4, verbose="ERROR"
    )
    x = np.zeros((lead.shape[1], y.shape[1]))
    x[active] = weights * limit / length[active][:, None]
    return x


def _gamma(lead: np.ndarray, y: np.ndarray) -> np.ndarray:
    import warnings

    from mne.inverse_sparse._gamma_map import _gamma_map_opt

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "\\s*Convergence NOT reached")
        level = 0.1 * float((y**2).mean())
        weights, active = _gamma_map_opt(
            y, lead, level, maxit=CONVERGED, tol=1e-6, update_mode=2, verbose="ERROR"
        )
    x = np.zeros((lead.shape[1], y.shape[1]))
    x[active] = weights
    return x


def calibrain_map() -> Callable[..., dict[str, Any]] | None:
    """The joint gamma-lambda map of calibrain; None where the package cannot be imported.

    It is optional: ``pip install --no-deps calibrain`` is enough, beside scikit-learn.
    """
    try:
        from calibrain.source_estimation import gamma_lambda_map  # type: ignore[import-not-found]
    except ImportError:
        return None
    return gamma_lambda_map


def _calibrain(problem: Problem, setting: Setting) -> SparseOutcome:
    """Calibrain's map, one sample at a time; it learns the noise in the joint setting."""
    found, matrix = calibrain_map(), problem.operator.matrix()
    if found is None or matrix is None:
        raise MajorantError("calibrain is not installed: pip install --no-deps calibrain")
    leads = matrix.double().expand(problem.n_batch, -1, -1).numpy()
    joint, estimates, noises = setting == "joint", [], []
    for lead, y in zip(leads, problem.y.double().numpy(), strict=True):
        out = found(
            lead,
            y,
            max_iter=CONVERGED,
            learn_lambda=joint,
            init_lambda=None if joint else 1.0,
            track_history=False,
        )
        estimates.append(out["posterior_mean"])
        noises.append(out["lambdas"])
    estimate = torch.as_tensor(np.stack(estimates), dtype=problem.y.dtype)
    return SparseOutcome(estimate, noise=torch.as_tensor(np.stack(noises)) if joint else None)


_mxne = _one_by_one(_mixed_norm)
_gamma_map = _one_by_one(_gamma)
