"""Several patches under heteroscedastic noise: what was asked for is what comes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.simulate.sparse import SparseLike, SparseSettings, homes


@pytest.fixture(scope="module")
def data(sphere: Leadfield) -> SparseLike:
    return SparseLike(sphere, settings=SparseSettings((2, 6), (0.0, 15.0)), dtype=torch.float64)


@pytest.fixture(scope="module")
def coarse(sphere: Leadfield) -> Leadfield:
    return sphere.subset(list(range(0, 300, 4)))


def test_a_sample_does_not_depend_on_its_batch(data: SparseLike):
    many, one = data.batch(range(8)), data.batch([5])
    for field in dataclasses.fields(many):
        whole, single = getattr(many, field.name), getattr(one, field.name)
        torch.testing.assert_close(whole[5:6], single, rtol=1e-9, atol=1e-12)


def test_seeds_and_parts_differ(data: SparseLike, sphere: Leadfield):
    other = SparseLike(sphere, 334, settings=data.settings, space=data.space)
    test = dataclasses.replace(data, part="test", space=data.space)
    first = data.batch([0]).y
    assert not torch.allclose(other.batch([0]).y.double(), first)
    assert not torch.allclose(test.batch([0]).y, first)


def test_data_are_the_lead_field_times_the_truth_plus_noise(data: SparseLike, sphere: Leadfield):
    batch = data.batch(range(30))
    rest = batch.y - sphere.gain @ batch.x
    signal = sphere.gain @ batch.x
    level = 20 * (signal.norm(dim=(1, 2)) / rest.norm(dim=(1, 2))).log10()
    torch.testing.assert_close(level, batch.snr_db.double(), rtol=1e-4, atol=1e-3)
    assert bool(((batch.snr_db >= 0) & (batch.snr_db <= 20)).all())
    torch.testing.assert_close(batch.y.abs().amax((1, 2)), torch.ones(30).double())


def test_noise_has_the_variances_that_are_said(sphere: Leadfield):
    long = SparseLike(sphere, settings=SparseSettings(n_times=4000), dtype=torch.float64)
    batch = long.batch(range(2))
    shown = (batch.y - sphere.gain @ batch.x).square().mean(2)
    ratio = (shown / batch.noise).log()
    assert float(ratio.abs().max()) < 0.15
    assert 0.2 < float(batch.noise.log().std(1).mean()) < 0.9


def test_as_many_patches_as_drawn_and_no_seed_twice(data: SparseLike):
    batch = data.batch(range(40))
    active = (batch.maps.amax(2) > 0).sum(1)
    assert torch.equal(active, batch.count)
    assert set(batch.count.tolist()) == {2, 3, 4, 5, 6}
    for seeds, count in zip(batch.seeds.tolist(), batch.count.tolist(), strict=True):
        kept = [s for s in seeds if s >= 0]
        assert len(kept) == len(set(kept)) == count


def test_a_patch_falls_with_distance_along_the_mesh(data: SparseLike, sphere: Leadfield):
    batch = data.batch(range(20))
    wide = (batch.extent_mm == 15.0).nonzero()[0, 0]
    seed = int(batch.seeds[wide, 0])
    distance = 1e3 * sphere.metric([seed])[0]
    expected = torch.exp(-0.5 * (distance / 15.0).square()) * (distance <= 30.0)
    torch.testing.assert_close(batch.dense[wide, 0], expected, rtol=1e-4, atol=1e-5)
    point = (batch.extent_mm == 0.0).nonzero()[0, 0]
    assert int((batch.dense[point, 0] > 0).sum()) == 1


def test_truth_is_summed_over_what_belongs_to_a_location(sphere: Leadfield, coarse: Leadfield):
    settings = SparseSettings((2, 4), (20.0,))
    data = SparseLike(coarse, settings=settings, generating=sphere, dtype=torch.float64)
    batch = data.batch(range(5))
    assert batch.x.shape[1] == 75
    torch.testing.assert_close(batch.x.sum(1), batch.x_dense.sum(1))
    far = homes(sphere, coarse)
    assert torch.equal(far[torch.arange(0, 300, 4)], torch.arange(75))
    assert int(far.min()) == 0


def test_regions_take_their_members(template: Leadfield):
    assert torch.equal(homes(template, template), torch.arange(994))


def test_another_head_makes_other_data(sphere: Leadfield):
    generator = torch.Generator().manual_seed(0)
    gain = sphere.gain * (1 + 0.2 * torch.randn(sphere.gain.shape, generator=generator).double())
    wrong = dataclasses.replace(sphere, gain=gain)
    settings = SparseSettings((2, 4), (0.0,), snr_db=(60.0, 60.0))
    honest = SparseLike(sphere, settings=settings, generating=wrong, dtype=torch.float64)
    batch = honest.batch(range(4))
    rest = (batch.y - sphere.gain @ batch.x).norm() / batch.y.norm()
    assert 0.05 < float(rest) < 0.5


def test_known_noise_is_divided_out(data: SparseLike):
    batch = data.batch(range(3))
    known = data.problem(batch, "true-noise")
    torch.testing.assert_close(known.y, batch.y / batch.noise.sqrt()[:, :, None])
    shown = data.problem(batch, "baseline-noise")
    ratio = (batch.baseline / batch.noise).log()
    assert 0.1 < float(ratio.std()) < 0.4
    assert shown.y.shape == batch.y.shape


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_sources": (0, 3)}, "give \\(fewest, most\\)"),
        ({"extent_mm": (-1.0,)}, "0 or more"),
        ({"snr_db": (5.0, 0.0)}, "increasing"),
    ],
)
def test_settings_that_make_no_sense(options, words):
    with pytest.raises(MajorantError, match=words):
        SparseSettings(**options)


def test_heads_that_do_not_fit(sphere: Leadfield, path: Leadfield):
    with pytest.raises(MajorantError, match="pick the same channels"):
        SparseLike(sphere, generating=path)
    with pytest.raises(MajorantError, match="patches do not fit"):
        SparseLike(path)
    bare = dataclasses.replace(sphere, edges=torch.zeros(0, 2, dtype=torch.int64))
    with pytest.raises(MajorantError, match="no edges"):
        SparseLike(bare)
