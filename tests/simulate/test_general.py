"""The general mixture: any cap, several sources, a head that the solver does not know."""

from __future__ import annotations

import pytest
import torch

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.simulate.general import General, GeneralSettings, OneHead
from majorant.simulate.heads import HeadRange, SimulatedHead, spread_out
from majorant.simulate.heads import whitener as make_whitener


def test_whitened_noise_is_white() -> None:
    gain = torch.randn(12, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    white = make_whitener(gain, 2.0)
    covariance = torch.eye(12, dtype=torch.float64) + 2.0 * 12 / (gain @ gain.T).trace() * (
        gain @ gain.T
    )
    torch.testing.assert_close(white @ covariance @ white.T, torch.eye(12, dtype=torch.float64))


def test_electrodes_are_spread_out() -> None:
    place = torch.randn(200, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    place = place / place.norm(dim=1, keepdim=True)
    chosen = spread_out(place, 20, torch.Generator().manual_seed(2))
    gaps = torch.cdist(place[chosen], place[chosen]) + 9.0 * torch.eye(20, dtype=torch.float64)
    assert len(set(chosen.tolist())) == 20
    assert float(gaps.min()) > 0.35


@pytest.fixture(scope="module")
def heads() -> list[SimulatedHead]:
    """Two heads of the packaged lead field's regions, with other electrodes each."""
    small = Leadfield.template_small()
    made = []
    for start in (0, 1):
        believed = small.pick(small.ch_names[start::3])
        bent = 1.0 + 0.1 * torch.sin(torch.arange(believed.n_sensors, dtype=torch.float64))
        made.append(SimulatedHead(believed, believed.transformed(torch.diag(bent))))
    return made


def test_samples_do_not_depend_on_their_batch(heads: list[SimulatedHead]) -> None:
    data = General(heads, 50)
    together, alone = data.batch([3, 7, 11]), data.batch([7])
    torch.testing.assert_close(together.y[1:2], alone.y, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(together.x[1:2], alone.x)


def test_data_are_sources_seen_through_the_true_head(heads: list[SimulatedHead]) -> None:
    quiet = GeneralSettings(snr_db=(200.0, 200.0))
    data = OneHead(heads[0], 20, settings=quiet)
    batch = data.batch(range(8))
    seen = heads[0].true.gain.float() @ batch.x
    torch.testing.assert_close(
        batch.y * batch.scale[:, None, None], seen, rtol=1e-3, atol=float(1e-4 * seen.abs().max())
    )
    assert float(batch.x.abs().amax((1, 2)).min()) == pytest.approx(1.0, abs=0.5)


def test_patches_differ_in_number_sign_and_course(heads: list[SimulatedHead]) -> None:
    batch = OneHead(heads[0], 200).batch(range(200))
    active = (batch.times.abs().amax(2) > 0).sum(1)
    assert set(active.tolist()) == {1, 2, 3}
    largest = batch.time.gather(1, batch.time.abs().argmax(1, keepdim=True))
    assert 60 < int((largest < 0).sum()) < 140
    assert float(batch.snr_db.min()) < 0.0 < 15.0 < float(batch.snr_db.max())


def test_every_turn_has_a_head_of_its_own(heads: list[SimulatedHead]) -> None:
    data = General(heads, 50)
    assert [data.turn(k).leadfield.ch_names[0] for k in range(3)] == [
        heads[k % 2].believed.ch_names[0] for k in range(3)
    ]
    assert data.turn(0).operator() is data.turn(2).operator()


def test_nonsense_is_refused() -> None:
    with pytest.raises(MajorantError, match="at least one"):
        General([])
    with pytest.raises(MajorantError, match="at least 8"):
        HeadRange(electrodes=(4, 10))
