"""Two patches: where they lie, what they sum to, and how they are judged."""

from __future__ import annotations

import pytest
import torch

from majorant.bench.two_patches import TwoPatches, score_each
from majorant.forward.leadfield import Leadfield
from majorant.metrics.localisation import ZONE_HOPS, Localisation
from majorant.problem import MajorantError
from majorant.simulate.dataset import SereegaLike


def test_the_first_patch_is_that_of_the_single_data_and_the_other_is_far(
    template: Leadfield,
) -> None:
    data = TwoPatches(template, 40)
    batch, single = data.batch(range(40)), SereegaLike(template, 40, part="test").batch(range(40))
    assert torch.equal(batch.seeds[:, 0], single.seed)
    assert torch.equal(batch.spaces[:, 0], single.space)
    hops = template.hops()[batch.seeds[:, 0], batch.seeds[:, 1]]
    assert int(hops.min()) > 2 * ZONE_HOPS
    assert batch.seeds[:, 1].unique().numel() > 30
    assert torch.equal(data.batch([7]).y[0], batch.y[7])


@pytest.mark.parametrize("at_once", [True, False])
def test_data_are_what_both_patches_send_to_the_sensors(template: Leadfield, at_once: bool) -> None:
    data = TwoPatches(template, 8, at_once=at_once)
    batch = data.batch(range(8))
    assert torch.equal(batch.times[:, 0], batch.times[:, 1]) is at_once
    signal = data.leadfield.gain.to(batch.x) @ batch.x
    rest = batch.y * batch.scale[:, None, None] - signal
    level = 20 * torch.log10(signal.flatten(1).norm(dim=1) / rest.flatten(1).norm(dim=1))
    assert torch.allclose(level, torch.full((8,), 5.0), atol=0.01)


def test_the_truth_is_perfect_and_one_patch_alone_is_half_wrong(template: Leadfield) -> None:
    data = TwoPatches(template, 6)
    batch, judge = data.batch(range(6)), Localisation(data.leadfield, data.sfreq)
    truth = score_each(judge, batch, batch.x)
    assert float(truth.le.max()) == float(truth.te.max()) == 0.0
    assert float(truth.auc.min()) == 100.0
    one = score_each(judge, batch, batch.times[:, 0][:, None] * batch.spaces[:, 0, :, None])
    assert float(one.le.min()) > 10.0
    assert float(one.auc.max()) < 100.0


def test_a_source_space_without_room_is_refused(sphere: Leadfield) -> None:
    with pytest.raises(MajorantError, match="too small"):
        TwoPatches(sphere, 2)
