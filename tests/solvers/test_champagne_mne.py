"""The source variances are those of MNE-Python's gamma map, step by step."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from majorant.energies.evidence import EvidenceEnergy
from majorant.energies.gaussian import GaussianModel
from majorant.energies.variances import LogVariance, Variances
from majorant.majorants.evidence import EvidenceMajorant
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.champagne import Champagne

gamma_map = pytest.importorskip("mne.inverse_sparse._gamma_map")

NOISE = 0.7


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lead = rng.standard_normal((12, 40))
    x = np.zeros((40, 15))
    x[[3, 17, 30]] = 2 * rng.standard_normal((3, 15))
    return lead, lead @ x + 0.5 * rng.standard_normal((12, 15))


def theirs(lead: np.ndarray, y: np.ndarray, mode: int, steps: int) -> np.ndarray:
    """Their estimate after ``steps`` updates of all variances from 1, in their own units."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "\\s*Convergence NOT reached")
        x, active = gamma_map._gamma_map_opt(
            y, lead, NOISE, maxit=steps, tol=0.0, update_mode=mode, verbose="ERROR"
        )
    assert len(active) == lead.shape[1], "sources were pruned: compare fewer steps"
    return x


def ours(lead: np.ndarray, y: np.ndarray, rule: str, steps: int) -> np.ndarray:
    """Ours from the same start: theirs is 1 in units of the data over those of the lead field."""
    unit = np.linalg.norm(y @ y.T) / np.linalg.norm(lead, ord=np.inf) ** 2
    problem = Problem(
        MatrixOperator(torch.as_tensor(lead)),
        torch.as_tensor(y)[None],
        torch.full((12,), NOISE).double(),
    )
    solver = Champagne(rule=rule, noise="given")
    model = GaussianModel(problem, noise="given")  # in the units of the data, as theirs
    majorant, proposal = EvidenceMajorant(EvidenceEnergy(model)), solver.proposal(problem)
    start = model.start
    state = Variances(LogVariance(torch.full((1, 40), float(np.log(unit))).double()), start.noise)
    for _ in range(steps):
        here = majorant.at(state)
        state = majorant.energy.admissible(state, proposal.rule(here))
    # Their estimate pairs the new variances with the covariance before the update.
    dual = torch.linalg.solve(majorant.energy.model.covariance(here.state)[0], problem.y[0])
    return (state.log_gamma[0].exp()[:, None] * (torch.as_tensor(lead).mT @ dual)).numpy()


@pytest.mark.parametrize(("rule", "mode"), [("mackay", 1), ("cb", 2)])
@pytest.mark.parametrize("steps", [1, 2, 7, 12])
def test_each_step_is_that_of_the_gamma_map(rule, mode, steps) -> None:
    for seed in range(3):
        lead, y = data(seed)
        expected = theirs(lead, y, mode, steps)
        found = ours(lead, y, rule, steps)
        assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_another_rule_is_told_apart() -> None:
    lead, y = data()
    expected = theirs(lead, y, 1, 7)
    assert np.abs(ours(lead, y, "cb", 7) - expected).max() > 1e-2 * np.abs(expected).max()
