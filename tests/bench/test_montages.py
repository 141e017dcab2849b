"""Networks live in source space: weights of 90 electrodes serve others, as they are."""

from __future__ import annotations

import pytest

from majorant.forward.leadfield import Leadfield
from majorant.forward.template import template_leadfield
from majorant.metrics.localisation import Localisation
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.base import Solver
from majorant.solvers.linear import SLORETA
from majorant.solvers.loop import solve
from majorant.weights.shipped import mm_net


@pytest.fixture(scope="module")
def cap() -> Leadfield:
    """128 electrodes of another cap."""
    return template_leadfield("biosemi128")


@pytest.mark.parametrize("n_electrodes", [32, 64, 128])
def test_the_same_weights_beat_sloreta_on_other_electrodes(
    cap: Leadfield, n_electrodes: int
) -> None:
    head = cap.pick([cap.ch_names[i * 128 // n_electrodes] for i in range(n_electrodes)])
    assert head.n_sensors == n_electrodes
    data = SereegaLike(head, 24, part="test")
    batch, judge = data.batch(range(24)), Localisation(head, data.sfreq)
    errors = []
    solvers: tuple[Solver, ...] = (mm_net("sereega", sfreq=data.sfreq), SLORETA(snr=5.0))
    for solver in solvers:
        solution = solve(data.problem(batch), solver)
        assert solution.certificate.holds()
        scores = judge.score(batch.x, solution.estimate.to(batch.x.dtype), batch.seed)
        errors.append(float(scores.le.mean()))
    assert errors[0] < errors[1], errors
