"""Adversaries along the null space, judged by an evaluator of its own; in full by the benchmark."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.guard_steps import Lead, arena, fight, judged
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, CosinePoint


@pytest.mark.parametrize("kind", ["condition 1e6", "rank lost"])
def test_no_guarded_step_rises_in_single_precision(
    kind: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = arena(kind, prior=False, single=True, n_batch=60, seed=3)
    guarded = fight(own, "energy", single=True, segments=1)
    assert guarded.rises == 0
    assert guarded.moved > 300
    assert fight(own, "off", single=True, segments=1).rises > 300
    # believing single precision where it knows nothing is found out, and told by no certificate

    def sure(self: CosineEnergy, point: CosinePoint) -> Tensor:
        return torch.zeros_like(point.energy)

    monkeypatch.setattr(CosineEnergy, "doubt", sure)
    believed = fight(own, "energy", single=True, segments=1)
    assert believed.rises > 0
    assert believed.largest > 1e-5


def test_the_judge_knows_its_energy() -> None:
    own = arena("well-conditioned", prior=True, single=False, n_batch=2, seed=0)
    x, scaled = own.x, own.x.copy()
    scaled[0] *= 3.0
    values = judged(own, x)
    a, b = (own.lead[0] @ x[0]).ravel(), own.y[0].ravel()
    z = own.weights[0] @ x[0]
    for weight in own.weights[1:]:
        z = weight @ (0.5 * (z + np.hypot(z, 0.1)))
    cos = [
        float(p @ q / np.sqrt((p @ p) * (q @ q))) for p, q in ((a, b), (x[0].ravel(), z.ravel()))
    ]
    assert values[0] == pytest.approx(2.0 - sum(cos), abs=1e-12)
    assert judged(own, scaled)[0] != pytest.approx(values[0], abs=1e-6)  # a prior knows a scale
