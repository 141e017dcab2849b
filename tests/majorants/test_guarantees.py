"""The numbers of docs/guarantees.md, on a small scale; `benchmarks.bounds` in full."""

from __future__ import annotations

import pytest
import torch
from benchmarks import bounds

from majorant.majorants.prior import PriorBounds


def test_the_global_majorant_holds_on_random_draws() -> None:
    assert bounds.global_majorant_gap(80_000) >= -1e-14


def test_the_local_bound_alone_did_not_raise_the_data_term() -> None:
    assert bounds.data_step_rises(2_000, 1.99) == 0  # evidence, not proof


def test_the_papers_own_step_raises_the_prior_term() -> None:
    prior, x = bounds.handmade()
    energy, rules = bounds.prior_alone(prior, x), PriorBounds(prior)
    point = energy.evaluate(x)
    hessian = torch.autograd.functional.hessian(
        lambda z: 1 - torch.nn.functional.cosine_similarity(z.flatten(), prior(z).flatten(), dim=0),
        x,
    )
    top = torch.linalg.eigvalsh(torch.as_tensor(hessian).reshape(2, 2))[-1]
    assert top == pytest.approx(0.556, abs=1e-3)
    mu = rules.uniform(point)
    assert float(mu) == pytest.approx(1.233, abs=1e-3)  # a right bound of the Hessian at x ...
    there = energy.evaluate(x - point.gradient / mu[:, None, None])
    assert float(point.prior) == pytest.approx(1.4694, abs=1e-4)
    assert float(there.prior) == pytest.approx(1.9875, abs=1e-4)  # ... and no majorant
    for safe in (rules.ball(point), rules.version1(point)):
        there = energy.evaluate(x - point.gradient / safe[:, None, None])
        assert (there.prior <= point.prior).all()


def test_a_search_finds_steps_of_version_2_that_rise_and_none_of_the_global_bound() -> None:
    found = bounds.search_prior("uniform", 1.0, n_networks=2, n_starts=50, n_steps=80)
    assert found.rises > 0
    assert found.largest > 0.1
    safe = bounds.search_prior("ball", 1.9, n_networks=1, n_starts=50, n_steps=40)
    assert safe.rises == 0


def test_bounds_of_the_hessian_bound_it_and_estimates_do_not() -> None:
    for least, _ in bounds.hessian_tightness(20).values():
        assert least >= 1.0
    found, negative = bounds.hessian_estimates(20)
    assert all(e.mean < 0.95 for e in found.values())
    assert negative > 0.2


def test_the_packaged_network_ends_at_most_as_high_as_classical_mm() -> None:
    found = bounds.final_energies(4)
    for name in ("mm gram", "mm v2", "mm global", "gradient descent"):
        assert found.no_worse_than(name).all(), name


def test_the_command_prints_a_part_and_refuses_an_unknown_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bounds.main(["handmade"]) == 0
    assert "1.4694 -> 1.9875" in capsys.readouterr().out
    assert bounds.main(["proofs"]) == 2
    assert "choose of global, data" in capsys.readouterr().err
