"""The deblurring example runs, keeps its certificates, and sharpens."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "deblurring.py"


def test_the_example_deblurs_under_its_certificates(capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(EXAMPLE))
    solutions = example["main"](size=16, steps=60, max_iter=60)
    blurred, truth = example["problem"](8, 16, seed=0)
    error = example["_error"]
    assert all(solution.certificate.holds() for solution in solutions.values())
    scalar, exact, classical, learned = solutions.values()
    for solution in (scalar, exact, learned):
        assert error(solution.estimate, truth) < 0.9 * error(blurred.y, truth)
    # the exact bound arrives in one step where the scalar one is still under way
    assert (exact.certificate.energy[-1] <= scalar.certificate.energy[-1]).all()
    # on one energy and from one start, eight learned steps go further than sixty classical ones
    assert (learned.certificate.energy[0] == classical.certificate.energy[0]).all()
    assert learned.certificate.energy[-1].mean() < classical.certificate.energy[-1].mean()
    said = capsys.readouterr().out
    assert said.count("never rose over") == 4
