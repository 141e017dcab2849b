"""A sample is a function of its number: batches, order and epochs change nothing else."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from majorant.forward.leadfield import Leadfield, average_reference
from majorant.problem import MajorantError
from majorant.simulate.dataset import Batch, SereegaLike, SereegaSettings


def fields(batch: Batch) -> dict[str, torch.Tensor]:
    return {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}


def close(a: Batch, b: Batch, rows: slice = slice(None)) -> bool:
    pairs = [(fields(a)[k][rows], v) for k, v in fields(b).items()]
    return all(torch.allclose(x.double(), y.double(), rtol=1e-12, atol=1e-12) for x, y in pairs)


@pytest.fixture(scope="module")
def data(sphere: Leadfield) -> SereegaLike:
    return SereegaLike(sphere, 100, dtype=torch.float64)


def test_batch_split_and_order_do_not_matter(data: SereegaLike) -> None:
    whole = data.batch(range(12))
    assert close(whole, data.batch(range(5, 12)), slice(5, 12))
    assert close(whole, data.batch([3]), slice(3, 4))
    backwards = fields(data.batch(range(11, -1, -1)))
    assert close(whole, Batch(**{name: value.flip(0) for name, value in backwards.items()}))


def test_the_same_seed_gives_the_same_data_and_another_gives_others(sphere: Leadfield) -> None:
    a, b, c = (SereegaLike(sphere, 10, seed).batch(range(10)) for seed in (333, 333, 334))
    assert all(torch.equal(v, fields(b)[k]) for k, v in fields(a).items())
    assert not torch.equal(a.seed, c.seed)


def test_parts_share_no_samples(sphere: Leadfield) -> None:
    names = ("train", "validation", "test")
    parts = [SereegaLike(sphere, 50, part=p).batch(range(50)) for p in names]
    assert not torch.equal(parts[0].seed, parts[1].seed)
    assert not torch.equal(parts[1].seed, parts[2].seed)
    assert [len(SereegaLike(sphere, part=p)) for p in names] == [8000, 2000, 2000]


def test_training_noise_is_drawn_anew_in_every_epoch_and_nothing_else(data: SereegaLike) -> None:
    first, second, again = (data.batch(range(4), epoch) for epoch in (0, 1, 0))
    assert close(first, again)
    assert torch.equal(first.x, second.x)
    one, two = (b.y * b.scale[:, None, None] - data.leadfield.gain @ b.x for b in (first, second))
    cosine = torch.nn.functional.cosine_similarity(one.flatten(1), two.flatten(1))
    assert float(cosine.abs().max()) < 0.1


def test_test_noise_is_fixed(sphere: Leadfield) -> None:
    data = SereegaLike(sphere, 5, part="test")
    assert torch.equal(data.batch([1], epoch=0).y, data.batch([1], epoch=7).y)


def test_a_longer_data_set_begins_with_the_shorter(sphere: Leadfield) -> None:
    short, long = (SereegaLike(sphere, n, part="test") for n in (5, 5000))
    assert torch.equal(short.batch(range(5)).y, long.batch(range(5)).y)


@pytest.mark.parametrize("reference", ["average", "centred", "none"])
def test_data_are_lead_field_times_sources_plus_noise_at_5_db(
    sphere: Leadfield, reference: str
) -> None:
    data = SereegaLike(
        sphere, 20, dtype=torch.float64, settings=SereegaSettings(reference=reference)
    )
    batch = data.batch(range(20))
    signal = data.operator().apply(batch.x)
    noise = batch.y * batch.scale[:, None, None] - signal
    ratio = signal.flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
    assert torch.allclose(20 * ratio.log10(), torch.full((20,), 5.0, dtype=torch.float64))
    electrodes = average_reference(40).T @ batch.y if reference == "average" else batch.y
    assert torch.allclose(electrodes.abs().amax(dim=(1, 2)), torch.ones(20, dtype=torch.float64))
    if reference != "none":
        assert float(electrodes.mean(dim=1).abs().max()) < 1e-12


def test_referenced_coordinates_are_an_isometry_of_centred_electrodes(sphere: Leadfield) -> None:
    gains = [
        SereegaLike(sphere, 1, settings=SereegaSettings(reference=r)).leadfield.gain
        for r in ("average", "centred")
    ]
    assert gains[0].shape[0] == gains[1].shape[0] - 1
    assert torch.allclose(gains[0].T @ gains[0], gains[1].T @ gains[1], atol=1e-9)


def test_noise_is_white_in_the_referenced_coordinates(sphere: Leadfield) -> None:
    data = SereegaLike(sphere, 400, dtype=torch.float64)
    batch = data.batch(range(100))
    noise = batch.y * batch.scale[:, None, None] - data.leadfield.gain @ batch.x
    noise = noise / noise.square().mean(dim=(1, 2), keepdim=True).sqrt()
    covariance = torch.einsum("bit,bjt->ij", noise, noise) / (100 * 64)
    assert float((covariance - torch.eye(39, dtype=torch.float64)).abs().max()) < 6 / 80


def test_a_range_of_snr_is_drawn_from(sphere: Leadfield) -> None:
    batch = SereegaLike(sphere, 200, settings=SereegaSettings(snr_db=(5.0, 14.0))).batch(range(200))
    assert 5.0 <= float(batch.snr_db.min()) < 6.0
    assert 13.0 < float(batch.snr_db.max()) <= 14.0


def test_rescaling_shifts_every_channel_by_the_same_offset(sphere: Leadfield) -> None:
    plain, shifted = (
        SereegaLike(
            sphere,
            6,
            dtype=torch.float64,
            settings=SereegaSettings(reference="centred", rescale_range=on),
        )
        for on in (False, True)
    )
    before, after = plain.batch(range(6)), shifted.batch(range(6))
    raw = [b.y * b.scale[:, None, None] for b in (before, after)]
    clean = plain.leadfield.gain @ before.x
    gaps = [v.amax(dim=(1, 2)) - v.amin(dim=(1, 2)) for v in (clean, raw[0], raw[1])]
    assert torch.allclose(gaps[2], gaps[0])
    offset = raw[1] - raw[0] * (gaps[0] / gaps[1])[:, None, None]
    assert float((offset - offset[:, :1, :1]).abs().max()) < 1e-9 * float(raw[0].abs().max())
    assert float(offset.abs().max()) > 1e-3
    with pytest.raises(MajorantError, match="rescale_range"):
        SereegaSettings(rescale_range=True)


def test_an_epoch_goes_through_every_sample_once_in_an_order_of_its_own(
    data: SereegaLike,
) -> None:
    orders = [
        torch.cat([batch.index for batch in data.batches(32, epoch=e, shuffle=True)])
        for e in (0, 1, 0)
    ]
    assert torch.equal(orders[0].sort().values, torch.arange(100))
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(torch.cat([b.index for b in data.batches(32)]), torch.arange(100))


def test_no_global_generator_is_touched(sphere: Leadfield) -> None:
    before = torch.random.get_rng_state()
    SereegaLike(sphere, 8).batch(range(8))
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_problem_given_to_solvers_holds_data_and_operator_only(data: SereegaLike) -> None:
    problem = data.problem(data.batch([0, 1]))
    assert problem.n_batch == 2
    assert problem.noise is None
    assert problem.operator.n_columns == 300


def test_what_cannot_be_simulated_is_refused(sphere: Leadfield) -> None:
    free = Leadfield.from_arrays(torch.ones(4, 9), n_orient=3, edges=torch.tensor([[0, 1]]))
    blind = dataclasses.replace(sphere, gain=torch.ones_like(sphere.gain))
    with pytest.raises(MajorantError, match="fixed"):
        SereegaLike(free)
    with pytest.raises(MajorantError, match="see nothing"):
        SereegaLike(blind)
    with pytest.raises(MajorantError, match="empty"):
        SereegaLike(sphere, 0)
    with pytest.raises(MajorantError, match="part"):
        SereegaLike(sphere, part="exam")  # pyright: ignore[reportArgumentType]
    with pytest.raises(MajorantError, match="from 0 to 9"):
        SereegaLike(sphere, 10).batch([10])
