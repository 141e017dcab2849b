"""Patches: connected, of the right radius, with the right falloff."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.simulate import streams
from majorant.simulate.patches import PatchBank, PatchSettings


def every_map(bank: PatchBank, row: int) -> torch.Tensor:
    seeds = torch.arange(bank.n_locations)
    return bank.maps(seeds, torch.full_like(seeds, row))


def test_members_are_exactly_the_locations_within_the_order(sphere: Leadfield) -> None:
    bank = PatchBank.grow(sphere)
    for row, order in enumerate((1, 2, 3)):
        assert torch.equal(every_map(bank, row) > 0, sphere.hops() <= order)


def test_every_patch_is_connected(sphere: Leadfield) -> None:
    bank = PatchBank.grow(sphere)
    i, j = sphere.edges.numpy().T
    graph = csr_array((torch.ones(len(i)).numpy(), (i, j)), shape=(300, 300))
    for map_ in every_map(bank, 2)[::7]:
        inside = map_.nonzero().flatten().numpy()
        assert connected_components(graph[inside][:, inside], directed=False)[0] == 1


def test_amplitudes_on_a_line_are_those_of_the_formula(path: Leadfield) -> None:
    bank = PatchBank.grow(path)
    map_ = bank.maps(torch.tensor([4]), torch.tensor([1]))[0]
    s = 20.0 / 2.0
    expected = [math.exp(-((10.0 * d) ** 2) / (2 * s**2)) for d in (2, 1, 0, 1, 2)]
    assert map_[2:7].tolist() == pytest.approx(expected, abs=1e-12)
    assert float(map_.sum()) == pytest.approx(sum(expected), abs=1e-12)


@pytest.mark.parametrize(("border", "s_over_d"), [(math.exp(-2), 0.5), (0.5, None)])
def test_the_border_has_its_amplitude(
    sphere: Leadfield, border: float, s_over_d: float | None
) -> None:
    maps = every_map(PatchBank.grow(sphere, PatchSettings(border=border)), 2)
    assert torch.allclose(maps.amax(dim=1), torch.ones(300, dtype=torch.float64))
    assert torch.equal(maps.argmax(dim=1), torch.arange(300))
    smallest = torch.where(maps > 0, maps, 1.0).amin(dim=1)
    assert torch.allclose(smallest, torch.full((300,), border, dtype=torch.float64))
    if s_over_d is None:
        s_over_d = 1 / math.sqrt(2 * math.log(2))
    assert math.exp(-1 / (2 * s_over_d**2)) == pytest.approx(border)


def test_geodesic_distance_is_measured_along_the_mesh() -> None:
    corner = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]]) * 0.01
    head = Leadfield.from_arrays(
        torch.ones(2, 3), positions=corner, edges=torch.tensor([[0, 1], [1, 2]])
    )
    middle = {}
    for kind in ("euclidean", "geodesic"):
        bank = PatchBank.grow(head, PatchSettings(orders=(2,), distance=kind))
        middle[kind] = float(bank.maps(torch.tensor([0]), torch.tensor([0]))[0, 1])
    assert middle["geodesic"] == pytest.approx(math.exp(-2 * (1 / 2) ** 2))
    assert middle["euclidean"] == pytest.approx(math.exp(-2 / 2))


def test_a_lonely_location_is_a_patch_of_one(path: Leadfield) -> None:
    head = Leadfield.from_arrays(torch.ones(2, 3), edges=torch.tensor([[0, 1]]))
    map_ = PatchBank.grow(head).maps(torch.tensor([2]), torch.tensor([2]))
    assert map_.tolist() == [[0.0, 0.0, 1.0]]


def test_topographies_are_the_gain_times_the_maps(sphere: Leadfield) -> None:
    bank = PatchBank.grow(sphere)
    seen = bank.topographies(sphere.gain)
    for row in range(3):
        assert torch.allclose(seen[row], every_map(bank, row) @ sphere.gain.T, atol=1e-10)


def test_seeds_and_orders_are_uniform(sphere: Leadfield) -> None:
    bank = PatchBank.grow(sphere)
    seed, row = bank.draw(streams.keys(1, torch.arange(60_000)))
    for drawn, n in ((seed, 300), (row, 3)):
        counts = torch.bincount(drawn.flatten(), minlength=n).double()
        chi = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert len(counts) == n
        assert float(chi) < n + 5 * math.sqrt(2 * n)


def test_several_sources_have_different_seeds(sphere: Leadfield) -> None:
    bank = PatchBank.grow(sphere)
    seed, row = bank.draw(streams.keys(1, torch.arange(500)), n_sources=20)
    assert seed.shape == row.shape == (500, 20)
    assert all(len(set(s)) == 20 for s in seed.tolist())
    assert bank.maps(seed, row).shape == (500, 20, 300)


@pytest.mark.parametrize(
    "wrong",
    [{"orders": ()}, {"orders": (-1,)}, {"border": 1.0}, {"border": 0.0}, {"distance": "taxi"}],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict) -> None:
    with pytest.raises(MajorantError, match="expected"):
        PatchSettings(**wrong)


def test_a_head_without_neighbours_is_refused() -> None:
    with pytest.raises(MajorantError, match="no edges"):
        PatchBank.grow(Leadfield.from_arrays(torch.ones(2, 3)))


def test_regions_grow_connected_irregular_and_reproducible() -> None:
    leadfield = Leadfield.template_small()
    settings = PatchSettings(growth="random", shapes=2)
    bank, ball = PatchBank.grow(leadfield, settings), PatchBank.grow(leadfield)
    assert bank.orders.tolist() == [1, 1, 2, 2, 3, 3]
    torch.testing.assert_close(bank.amplitudes, PatchBank.grow(leadfield, settings).amplitudes)
    seed = torch.tensor([5, 500])
    grown, round_ = bank.maps(seed, torch.tensor([4, 5])), ball.maps(seed, torch.tensor([2, 2]))
    hops = leadfield.hops()
    for patch, whole, k in zip(grown, round_, seed.tolist(), strict=True):
        active = patch.nonzero()[:, 0]
        assert len(active) == int((whole > 0).sum())
        assert set(active.tolist()) != set(whole.nonzero()[:, 0].tolist())
        assert patch[k] == 1.0
        reached = {k}
        while True:
            more = {int(m) for m in active if bool((hops[m, list(reached)] <= 1).any())}
            if more == reached:
                break
            reached = more
        assert reached == set(active.tolist())
    with pytest.raises(MajorantError, match="'random' in at least one"):
        PatchSettings(growth="random", shapes=0)
