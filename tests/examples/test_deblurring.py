"""The deblurring example runs, keeps its certificate, and sharpens."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "deblurring.py"


def test_the_example_deblurs_under_its_certificate(capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(EXAMPLE))
    solutions = example["main"](size=24, max_iter=60)
    _, truth = example["problem"](24)
    blurred, _ = example["problem"](24)
    before = (blurred.y - truth).norm()
    for solution in solutions.values():
        assert solution.certificate.holds()
        assert (solution.estimate - truth).norm() < 0.9 * before
    # the exact bound arrives in one step where the scalar one is still under way
    last = {bound: s.certificate.energy[-1] for bound, s in solutions.items()}
    assert (last["operator"] <= last["scalar"]).all()
    said = capsys.readouterr().out
    assert said.count("The Tikhonov energy never rose") == 2
