"""Training the unfolded solver on everyday data: a session a step, on points and on patches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from majorant.forward.leadfield import Leadfield
from majorant.networks.corrections import CorrectionSettings
from majorant.simulate.everyday import EverydayHead, FineCortex, World
from majorant.training.growth import GROWN, LayerwiseSettings
from majorant.training.layerwise import Layerwise
from majorant.training.sessions import N_TIMES, Sessions, everyday_sessions

SMALL = replace(
    GROWN["everyday"],
    correction=CorrectionSettings(layers=2, shared=True),
    steps_new=1,
    steps_last=2,
    save_every=1,
)


@pytest.fixture(scope="module")
def world(sphere: Leadfield) -> World:
    cortex = FineCortex(
        positions=sphere.positions,
        normals=sphere.normals,
        edges=sphere.edges,
        hemisphere=(sphere.positions[:, 0] > 0).long(),
        regions=torch.arange(300) // 10,
    )
    heads = []
    for count in (24, 36):
        own = sphere.pick(sphere.ch_names[:count])
        heads.append(EverydayHead(own, 1.1 * own.gain.mT.float()))
    return World(cortex, tuple(heads), torch.arange(300))


@pytest.fixture(scope="module")
def sessions(world: World) -> Sessions:
    return everyday_sessions(world, SMALL.seed, SMALL.batch)


def test_every_step_is_another_session_and_a_sample_is_a_function_of_its_number(sessions) -> None:
    found = [sessions.batch(range(4 * k, 4 * k + 4)) for k in range(6)]
    assert len({batch.session.number for batch in found}) == 6
    assert {batch.y.shape[2] for batch in found} <= set(N_TIMES)
    assert len({batch.y.shape[2] for batch in found}) > 2
    again = sessions.batch(range(8, 12))
    assert torch.equal(again.y, found[2].y)


def test_a_run_learns_and_goes_on_where_it_stopped(sessions, tmp_path) -> None:
    settings: LayerwiseSettings = replace(SMALL, basis="patches")
    whole = Layerwise(settings, [sessions], tmp_path / "whole").run()
    moved = [float(p.detach().abs().sum()) for p in whole.stages[0].source[-1].parameters()]
    assert min(moved) > 0
    for _ in range(5):
        corrections = Layerwise(settings, [sessions], tmp_path / "parts").run(minutes=0.0)
    for one, other in zip(whole.parameters(), corrections.parameters(), strict=True):
        assert torch.equal(one, other)
