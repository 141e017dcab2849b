"""Neural-mass samples are functions of their numbers, with the noise and background asked for."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from majorant.forward.leadfield import Leadfield, average_reference
from majorant.problem import MajorantError
from majorant.simulate.connectome import Connectome
from majorant.simulate.dataset import Batch
from majorant.simulate.neural_mass import Integration
from majorant.simulate.neural_mass_clips import ClipRecipe, Clips, ClipSettings, collect
from majorant.simulate.neural_mass_data import NeuralMassLike, NeuralMassSettings

SMALL = ClipSettings(
    n_times=200, source_gain=4.0, integration=Integration(warmup=200), runs=64, background=64
)


@pytest.fixture(scope="module")
def clips() -> Clips:
    return collect(ClipRecipe(SMALL), 240)


def close(a: Batch, b: Batch, rows: slice = slice(None)) -> bool:
    return all(
        torch.allclose(
            getattr(a, f.name)[rows].double(), getattr(b, f.name).double(), rtol=1e-12, atol=1e-12
        )
        for f in dataclasses.fields(a)
    )


@pytest.mark.parametrize("background", [False, True])
def test_batch_split_and_order_do_not_matter(
    sphere: Leadfield, clips: Clips, background: bool
) -> None:
    settings = NeuralMassSettings(background=background, crop=128)
    data = NeuralMassLike(sphere, 100, settings=settings, clips=clips, dtype=torch.float64)
    whole = data.batch(range(12))
    assert close(whole, data.batch(range(5, 12)), slice(5, 12))
    assert close(whole, data.batch([3]), slice(3, 4))
    assert len(data) == 100
    assert data.sfreq == 500
    assert data.n_times == whole.y.shape[2] == 128


def test_parts_share_no_clips_and_a_longer_data_set_begins_with_the_shorter(
    sphere: Leadfield,
) -> None:
    settings = NeuralMassSettings(recipe=ClipRecipe(SMALL))
    courses = {}
    for part in ("train", "validation", "test"):
        batch = NeuralMassLike(sphere, 12, part=part, settings=settings).batch(range(12))
        courses[part] = {tuple(row.tolist()) for row in batch.time}
    assert all(len(rows) == 12 for rows in courses.values())
    assert len(set().union(*courses.values())) == 36
    short, long = (
        NeuralMassLike(sphere, n, part="test", settings=settings).batch(range(4)) for n in (4, 40)
    )
    assert torch.equal(short.y, long.y)


def test_training_noise_is_drawn_anew_and_nothing_else(sphere: Leadfield, clips: Clips) -> None:
    data = NeuralMassLike(sphere, 20, clips=clips)
    first, second = (data.batch(range(4), epoch) for epoch in (0, 1))
    assert torch.equal(first.x, second.x)
    assert not torch.equal(first.y, second.y)
    fixed = NeuralMassLike(sphere, 20, clips=clips, part="test")
    assert torch.equal(fixed.batch([1], 0).y, fixed.batch([1], 7).y)


def test_sources_are_patches_with_half_their_amplitude_at_the_border(
    sphere: Leadfield, clips: Clips
) -> None:
    batch = NeuralMassLike(sphere, 20, clips=clips).batch(range(20))
    smallest = torch.where(batch.space > 0, batch.space, 1.0).amin(1)
    assert torch.allclose(smallest, torch.full((20,), 0.5), atol=1e-5)
    assert torch.allclose(batch.x.amax(dim=(1, 2)), torch.ones(20))
    assert (batch.time.median(dim=1).values > 0.02).any()
    rows = torch.arange(20)
    assert torch.equal(batch.time[rows, (batch.centre / 2).long()], torch.ones(20))
    assert ((batch.width > 10) & (batch.width < 200)).all()


@pytest.mark.parametrize("reference", ["average", "centred", "none"])
def test_noise_at_every_electrode_follows_its_signal(
    sphere: Leadfield, clips: Clips, reference: str
) -> None:
    settings = NeuralMassSettings(snr_db=8.0, centre=False, reference=reference)
    data = NeuralMassLike(sphere, 40, settings=settings, clips=clips, dtype=torch.float64)
    batch = data.batch(range(40))
    back = average_reference(40).T if reference == "average" else torch.eye(40).double()
    signal = back @ (data.leadfield.gain @ batch.x)
    seen = back @ (batch.y * batch.scale[:, None, None]) - signal
    ratio = seen.square().mean(2) / signal.square().mean(2)
    assert float(ratio.median()) == pytest.approx(0.5 * 10**-0.8, rel=0.2)
    assert torch.allclose((back @ batch.y).abs().amax(dim=(1, 2)), torch.ones(40).double())


def test_white_noise_and_the_range_of_snr(sphere: Leadfield, clips: Clips) -> None:
    settings = NeuralMassSettings(noise="white", centre=False)
    data = NeuralMassLike(sphere, 60, settings=settings, clips=clips, dtype=torch.float64)
    batch = data.batch(range(60))
    signal = data.leadfield.gain @ batch.x
    left = batch.y * batch.scale[:, None, None] - signal
    found = 20 * (signal.flatten(1).norm(dim=1) / left.flatten(1).norm(dim=1)).log10()
    assert torch.allclose(found, batch.snr_db.double(), atol=1e-5)
    assert 5.0 <= float(found.min()) < 6.5
    assert 12.5 < float(found.max()) <= 14.0


def test_channels_have_no_mean(sphere: Leadfield, clips: Clips) -> None:
    batch = NeuralMassLike(sphere, 5, clips=clips).batch(range(5))
    assert float(batch.y.mean(dim=2).abs().max()) < 1e-6


def test_background_reaches_the_sensors_at_the_strength_asked_for(
    sphere: Leadfield, clips: Clips
) -> None:
    settings = NeuralMassSettings(
        background=True, strength_db=(12.0, 12.0), snr_db=300.0, noise="white", centre=False
    )
    data = NeuralMassLike(sphere, 10, settings=settings, clips=clips, dtype=torch.float64)
    batch = data.batch(range(10))
    signal = data.leadfield.gain @ batch.x
    rest = batch.y * batch.scale[:, None, None] - signal
    signal = signal - signal.mean(2, keepdim=True)
    for k in range(10):
        peak = int(batch.time[k].argmax())
        near = slice(max(0, peak - 50), peak + 51)
        ratio = signal[k, :, near].norm() / rest[k, :, near].norm()
        assert 20 * float(ratio.log10()) == pytest.approx(12.0, abs=1e-6)
    plain = NeuralMassLike(sphere, 10, clips=clips, dtype=torch.float64).batch(range(10))
    assert torch.equal(plain.x, batch.x)


def test_a_crop_holds_the_peak_and_moves_between_epochs(sphere: Leadfield, clips: Clips) -> None:
    data = NeuralMassLike(sphere, 40, clips=clips, settings=NeuralMassSettings(crop=64))
    first, second = (data.batch(range(40), epoch) for epoch in (0, 1))
    assert torch.equal(first.time.amax(1), torch.ones(40))
    assert not torch.equal(first.centre, second.centre)
    assert torch.equal(first.seed, second.seed)


def test_in_a_network_the_seed_is_the_region_that_spiked(sphere: Leadfield) -> None:
    wiring = Connectome.from_distance(sphere, neighbours=8)
    settings = dataclasses.replace(SMALL, runs=8, background=2)
    recipe = ClipRecipe(settings, connectome=wiring)
    data = NeuralMassLike(sphere, 4, settings=NeuralMassSettings(background=True, recipe=recipe))
    made = collect(recipe, 6)
    assert torch.equal(data.batch(range(4)).seed, made.region[:4])
    assert made.background.shape == (2, 300, 200)


def test_what_cannot_be_simulated_is_refused(
    sphere: Leadfield, path: Leadfield, clips: Clips
) -> None:
    far = dataclasses.replace(clips, region=torch.full_like(clips.region, 299))
    few = dataclasses.replace(clips, waveforms=clips.waveforms[:3], region=clips.region[:3])
    dark = dataclasses.replace(clips, background=clips.background[:0])
    with pytest.raises(MajorantError, match="10 locations"):
        NeuralMassLike(path, 5, clips=far)
    with pytest.raises(MajorantError, match="at least 6"):
        NeuralMassLike(sphere, 5, clips=few, part="test")
    with pytest.raises(MajorantError, match="background"):
        NeuralMassLike(sphere, 5, clips=dark, settings=NeuralMassSettings(background=True))
    with pytest.raises(MajorantError, match="does not fit"):
        NeuralMassLike(sphere, 5, clips=clips, settings=NeuralMassSettings(crop=201))
    quiet = ClipRecipe(dataclasses.replace(SMALL, source_gain=3.25))
    with pytest.raises(MajorantError, match="0 of the 12"):
        NeuralMassLike(sphere, 2, part="test", settings=NeuralMassSettings(recipe=quiet))
    with pytest.raises(MajorantError, match="noise"):
        NeuralMassSettings(noise="pink")  # pyright: ignore[reportArgumentType]
    with pytest.raises(MajorantError, match="reference"):
        NeuralMassSettings(reference="nose")  # pyright: ignore[reportArgumentType]
    with pytest.raises(MajorantError, match="empty"):
        NeuralMassSettings(crop=0)
