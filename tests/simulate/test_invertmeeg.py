"""invertmeeg's published sets: what the recipe says is what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from majorant import Leadfield, MajorantError, make, solve
from majorant.simulate.invertmeeg import N_TIMES, RECIPES, InvertMEEG, RecipeName


@pytest.fixture(scope="module")
def sets() -> dict[RecipeName, InvertMEEG]:
    small = Leadfield.template_small()
    return {name: InvertMEEG(name, small, n=12) for name in RECIPES}


@pytest.mark.parametrize("name", RECIPES)
def test_levels_and_numbers_are_those_of_the_recipe(
    sets: dict[RecipeName, InvertMEEG], name: RecipeName
) -> None:
    data, recipe = sets[name], RECIPES[name]
    batch = data.batch(range(12))
    signal = data.leadfield.gain @ batch.x
    power = [part.square().sum((1, 2)) for part in (signal, batch.y - signal)]
    torch.testing.assert_close(10 * torch.log10(power[0] / power[1]), batch.snr_db)
    assert batch.snr_db.min() >= recipe.snr_db[0]
    assert batch.snr_db.max() <= recipe.snr_db[1]
    count = (batch.seeds >= 0).sum(1)
    assert (count.min(), count.max()) >= (recipe.n_sources[0], recipe.n_sources[0])
    assert count.max() <= recipe.n_sources[1]
    assert recipe.n_sources[0] == recipe.n_sources[1] or len(count.unique()) > 1
    assert batch.x.shape == (12, data.leadfield.n_locations, N_TIMES)


def test_focal_is_one_vertex_and_extended_is_contiguous(
    sets: dict[RecipeName, InvertMEEG],
) -> None:
    from scipy.sparse.csgraph import connected_components

    focal = sets["focal"].batch(range(12))
    active = focal.x.abs().amax(2) > 0
    assert active.sum(1).eq(1).all()
    assert active.nonzero()[:, 1].equal(focal.seeds[:, 0])
    data = sets["extended"]
    sizes, graph = [], data._graph
    for map_, seeds in zip(data.batch(range(12)).x.abs().amax(2), _seeds(data), strict=True):
        inside = (map_ > 0).nonzero()[:, 0].numpy()
        sizes.append(len(inside))
        labels = connected_components(graph[inside][:, inside])
        assert labels[0] <= len(seeds)
        assert len(inside) <= 60 * len(seeds)
    assert max(sizes) > 30


def _seeds(data: InvertMEEG) -> list[list[int]]:
    return [[s for s in row if s >= 0] for row in data.batch(range(12)).seeds.tolist()]


def test_noisy_sources_are_vertices_or_smeared_once(sets: dict[RecipeName, InvertMEEG]) -> None:
    data = sets["noisy"]
    degree = np.asarray(data._graph.sum(axis=0)).ravel().astype(int)
    sizes = set()
    for map_, seeds in zip(data.batch(range(12)).x.abs().amax(2), _seeds(data), strict=True):
        if len(seeds) == 1:
            sizes.add(int((map_ > 0).sum()) == 1)
            assert int((map_ > 0).sum()) in (1, 1 + degree[seeds[0]])
    assert sizes


def test_a_sample_is_its_number(sets: dict[RecipeName, InvertMEEG]) -> None:
    data = sets["extended"]
    together, alone = data.batch([3, 7]), data.batch([7])
    assert torch.equal(together.y[1], alone.y[0])
    assert torch.equal(together.noise_cov[1], alone.noise_cov[0])
    other = InvertMEEG("extended", Leadfield.template_small(), n=12, seed=1)
    assert not torch.equal(other.batch([7]).y, alone.y)


def test_the_covariance_is_that_of_the_noise_and_solvers_take_the_problem(
    sets: dict[RecipeName, InvertMEEG],
) -> None:
    data = sets["focal"]
    batch = data.batch(range(12))
    noise = batch.y - data.leadfield.gain @ batch.x
    level = noise.square().mean((1, 2)) / batch.noise_cov.diagonal(dim1=1, dim2=2).mean(1)
    assert ((level > 0.7) & (level < 1.4)).all()
    found = [
        int(solve(data.problem(data.batch([k])), make("sloreta")).estimate.norm(dim=2).argmax())
        for k in range(12)
    ]
    away = data.leadfield.positions[found] - data.leadfield.positions[batch.seeds[:, 0]]
    assert float(away.norm(dim=1).median()) < 0.03
    several = solve(data.problem(batch), make("sloreta")).estimate
    alone = solve(data.problem(data.batch([4])), make("sloreta")).estimate
    torch.testing.assert_close(several[4:5], alone)


def test_what_is_no_set_is_refused() -> None:
    small = Leadfield.template_small()
    with pytest.raises(MajorantError, match="there is no set"):
        InvertMEEG("loud", small)  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match="sample numbers"):
        InvertMEEG("focal", small, n=3).batch([3])
