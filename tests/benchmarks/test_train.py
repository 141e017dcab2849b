"""The rates of training: every way is measured, and the arithmetic is that of the products."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from benchmarks import train
from benchmarks.training_step import Ways

from majorant.training.presets import Recipe, preset

TINY = preset("tiny")
SMALL = replace(
    TINY, batch=2, network=replace(TINY.network, prior_hidden=4, hidden=3, iterations=3)
)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    monkeypatch.setattr(train, "recipe_for", lambda *_: SMALL)
    monkeypatch.setattr(train, "PEAK_SECONDS", 0.01)
    return Ways(SMALL, compiled=False)


def test_every_way_takes_the_same_step(ways: Ways) -> None:
    plain = replace(SMALL, bfloat16=False)
    engines = Ways(plain, compiled=False).engines.values()
    losses = torch.stack([engine.loss(torch.arange(2)).total.detach() for engine in engines])
    torch.testing.assert_close(losses, losses[:1].expand(len(losses)), atol=1e-6, rtol=0)


def test_the_arithmetic_is_that_of_the_products(ways: Ways) -> None:
    def of(recipe: Recipe) -> int:
        return Ways(recipe, compiled=False).operations()

    one, two = of(SMALL), of(replace(SMALL, batch=4))
    assert two == pytest.approx(2 * one, rel=1e-3)
    rows, t = 2 * 994, 16
    assert one > 3 * 2 * rows * t * (2 * 90 + 4 * SMALL.network.prior_hidden)


def test_the_rows_say_what_the_columns_mean(ways: Ways, capsys: pytest.CaptureFixture[str]) -> None:
    rows = train.run("tiny", batch=2)
    assert [row["way"] for row in rows] == [
        "closed form",
        "closed form, checkpointed",
        "double backward",
    ]
    for row in rows:
        assert row["samples"] == pytest.approx(2e3 / row["ms"])
        assert row["peak_share"] > 0
    assert rows[1]["mebibytes"] < 0.6 * rows[0]["mebibytes"]
    assert rows[-1]["speedup"] == 1.0
    assert "share" in capsys.readouterr().out
