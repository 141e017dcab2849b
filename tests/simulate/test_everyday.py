"""Everyday data: truths of the parts are apart, samples are their own, whitening is estimated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.simulate import streams
from majorant.simulate.everyday import (
    FAMILIES,
    Everyday,
    EverydayHead,
    EverydaySettings,
    FineCortex,
    World,
)
from majorant.simulate.everyday.activity import clips, draw_codes, play
from majorant.simulate.everyday.cortex import Lists
from majorant.simulate.everyday.parts import PARTS, owned, owner_of_code

MIX = EverydaySettings(n_times=(32,), sfreq=(128.0,), width_mm=(5.0, 40.0))


@pytest.fixture(scope="module")
def world(sphere: Leadfield) -> World:
    """The sphere, with thirty regions and two heads of which the truth is a little different."""
    regions = torch.arange(300) // 10
    cortex = FineCortex(
        sphere.positions,
        sphere.normals,
        sphere.edges,
        (sphere.positions[:, 0] > 0).long(),
        regions,
    )
    generator = torch.Generator().manual_seed(5)
    heads = []
    for _ in range(2):
        bent = 1.0 + 0.1 * torch.randn(sphere.gain.shape, generator=generator, dtype=torch.float64)
        heads.append(EverydayHead(sphere, (sphere.gain * bent).mT.float().contiguous()))
    return World(cortex, tuple(heads), torch.arange(300))


@pytest.fixture(scope="module")
def data(world: World) -> Everyday:
    return Everyday(world, 1, settings=MIX)


def test_every_truth_belongs_to_one_part(world: World) -> None:
    seeds = [set(world.cortex.seeds(part).tolist()) for part in PARTS]
    waves = [set(map(bytes, clips(128.0, part).numpy())) for part in PARTS]
    for things in (seeds, waves):
        assert all(things)
        assert len(set().union(*things)) == sum(map(len, things))
    assert sum(map(len, seeds)) == 300
    shares = torch.stack([owned(part, 10_000, 9) for part in PARTS]).double().mean(1)
    torch.testing.assert_close(shares, torch.tensor([0.8, 0.1, 0.1]).double(), atol=0.02, rtol=0)


@pytest.mark.parametrize("part", PARTS)
def test_samples_hold_truths_of_their_part_only(world: World, part: str) -> None:
    stream = Everyday(world, 3, part=part, settings=MIX)  # type: ignore[arg-type]
    batch = stream.session(0).batch(range(64))
    assert bool((owner_of_code(batch.codes) == PARTS.index(part)).all())  # type: ignore[arg-type]
    mine = set(world.cortex.seeds(part).tolist())  # type: ignore[arg-type]
    seeds = batch.sources.seeds[batch.sources.active]
    assert set(seeds.tolist()) <= mine


def test_shapes_grown_at_random_are_those_of_their_part(world: World) -> None:
    lists = {part: Lists.grow(world.cortex, part, 1) for part in PARTS}
    order = {}
    for part, made in lists.items():
        order[part] = {tuple(row[:20].tolist()) for row in made.members[1]}
    assert not order["train"] & order["test"]
    assert not order["train"] & order["validation"]


def test_a_course_is_a_function_of_its_code() -> None:
    codes = draw_codes(streams.keys(1, torch.arange(40)), 3, "test").flatten()
    whole = play(codes, 50, 128.0, "test")
    torch.testing.assert_close(play(codes[5:9], 50, 128.0, "test"), whole[5:9])
    torch.testing.assert_close(whole.abs().amax(1), torch.ones(120))
    assert bool(torch.isfinite(play(codes, 1, 128.0, "test")).all())


def test_a_sample_does_not_depend_on_its_batch(world: World, data: Everyday) -> None:
    whole = data.session(3).batch(range(12))
    part = Everyday(world, 1, settings=MIX).session(3).batch([7, 2])
    torch.testing.assert_close(part.y, whole.y[[7, 2]], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(part.x, whole.x[[7, 2]], atol=1e-4, rtol=1e-4)
    assert not torch.equal(data.session(4).batch([7]).codes, whole.codes[[7]])


def test_data_are_what_the_true_head_sees_at_the_level_that_is_said(data: Everyday) -> None:
    batch = data.session(0).batch(range(8))
    session = batch.session
    fine = batch.dense().mT @ batch.courses
    signal = (session.whitener.float() @ session.head.seen.mT) @ fine
    noise = batch.y - signal
    level = 20 * torch.log10(signal.flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1))
    torch.testing.assert_close(level, batch.snr_db, atol=1e-2, rtol=1e-3)
    believed = batch.operator.apply(batch.x)
    assert float((believed - signal).norm() / signal.norm()) > 0.03


def test_the_baseline_whitens_the_better_the_longer_it_is(world: World) -> None:
    def unevenness(stretches: int) -> float:
        settings = EverydaySettings(
            baseline=(stretches, stretches), n_times=(32,), sfreq=(128.0,), snr_db=(-60.0, -60.0)
        )
        y = Everyday(world, 2, settings=settings).session(1).batch(range(600)).y.double()
        moment = torch.einsum("brt,bst->rs", y, y) / (600 * 32)
        return float(torch.log(torch.linalg.eigvalsh(moment)).abs().max())

    short, long = unevenness(1), unevenness(400)
    assert long < 0.25
    assert short > 2 * long


def test_balls_are_as_wide_as_asked_and_all_patches_are_connected(world: World) -> None:
    settings = EverydaySettings(shapes=("ball", "grown"), width_mm=(36.0, 40.0), n_times=(8,))
    stream = Everyday(world, 4, settings=settings)
    dense = stream.session(0).batch(range(24)).dense().flatten(0, 1)
    i, j = world.cortex.edges.numpy().T
    seen = 0
    for patch in dense:
        inside = (patch > 0).numpy()
        if not inside.any():
            continue
        kept = inside[i] & inside[j]
        graph = csr_array((np.ones(kept.sum()), (i[kept], j[kept])), shape=(300, 300))
        label = connected_components(graph, directed=False)[1]
        assert len(set(label[inside])) == 1
        across = torch.cdist(world.cortex.positions[inside], world.cortex.positions[inside])
        seen += int(inside.sum() > 1)
        assert float(across.max()) < 0.12
    assert seen > 20


def test_mirrored_sources_lie_on_the_other_side(world: World) -> None:
    settings = EverydaySettings(mirrored=1.0, n_sources=(2,), n_times=(8,))
    seeds = Everyday(world, 5, settings=settings).session(0).batch(range(40)).sources.seeds
    first, second = world.cortex.positions[seeds].unbind(1)
    apart = (first * torch.tensor([-1.0, 1.0, 1.0]) - second).norm(dim=1)
    assert float(apart.median()) < 0.012


def test_families_are_whole_regions(world: World, sphere: Leadfield) -> None:
    regions = sphere.subset(range(5, 300, 10), edges=torch.tensor([[k, k + 1] for k in range(29)]))
    whole = World(world.cortex, world.heads, world.home, regions)
    batch = Everyday(whole, 1, part="train", settings=FAMILIES["balls 1-3"]).batch(0, 6)
    assert batch.y.shape[2] == 75
    dense = batch.dense()
    by_region = dense.unflatten(2, (30, 10))
    torch.testing.assert_close(by_region, by_region[..., :1].expand_as(by_region))
    fine = dense.mT @ batch.courses
    signal = (batch.session.whitener.float() @ batch.session.head.seen.mT) @ fine
    level = 20 * torch.log10(
        signal.flatten(1).norm(dim=1) / (batch.y - signal).flatten(1).norm(dim=1)
    )
    torch.testing.assert_close(level, batch.snr_db, atol=1e-2, rtol=1e-3)


def test_what_makes_no_sense_is_refused(world: World) -> None:
    with pytest.raises(MajorantError, match="mix whole regions"):
        EverydaySettings(shapes=("vertex", "region-ball"))
    with pytest.raises(MajorantError, match="from 1 to 6"):
        EverydaySettings(n_sources=(0,))
    with pytest.raises(MajorantError, match="need regions"):
        Everyday(world, settings=FAMILIES["single regions"])
    with pytest.raises(MajorantError, match="no part"):
        Everyday(world, part="exam")  # type: ignore[arg-type]
