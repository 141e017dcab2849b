"""The study of what limits the accuracy: pairs against a base, and samples that keep their word."""

from __future__ import annotations

import pytest
import torch
from benchmarks import ablation

from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield
from majorant.simulate.dataset import SereegaLike
from majorant.training.presets import Recipe


def test_rows_stand_beside_the_base(path: Leadfield) -> None:
    rows = list(ablation.study(["base", "spectral", "hard", "both", "twice"], 2, 6, path))
    assert [row.name for row in rows] == ["base", "spectral", "hard", "both", "twice"]
    assert not rows[0].apart
    for row in rows[1:]:
        for key, (middle, low, high) in row.apart.items():
            assert low <= middle <= high
            assert row.means[key] - rows[0].means[key] == pytest.approx(middle, abs=1e-6)
    assert rows[1].minutes > 0
    assert rows[3].minutes == rows[4].minutes == 0
    assert all(str(row).count("|") == 6 for row in rows)


def test_hard_samples_are_the_weaker_of_two(path: Leadfield) -> None:
    hard, index = ablation.Hard(path, 20), torch.arange(20)
    pool = SereegaLike(path, 40).batch(range(40))
    batch = hard.batch(index)
    assert torch.equal(batch.scale, pool.scale.view(20, 2).amin(1))
    assert batch.y.shape == (20, *pool.y.shape[1:])


def test_a_curriculum_ends_in_the_task(path: Leadfield) -> None:
    data = ablation.Curriculum(path, 8, steps=10)
    first, last = (data.turn(step).batch(range(8)).snr_db for step in (4, 5))
    assert (first > 5).all()
    assert (last == 5).all()


def test_variants_are_recipes() -> None:
    for variant in ablation.VARIANTS.values():
        assert set(variant.recipe) <= set(Recipe.__dataclass_fields__)


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(MajorantError, match="no variant 'wide'"):
        ablation.main(["wide"])
