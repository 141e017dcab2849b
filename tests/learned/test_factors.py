"""What few factors leave: noise that no lead field distorts, columns in and out of the subspace."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from majorant.energies.gaussian import GaussianModel
from majorant.files.archive import read_archive, write_archive
from majorant.learned.factors import EDGES, Factors, read_factors
from majorant.learned.unfolded import UnfoldedSBL
from majorant.metrics.calibration import log_correlation
from majorant.networks.corrections import (
    KIND,
    VERSION,
    Correction,
    Corrections,
    CorrectionSettings,
)
from majorant.networks.widening import sighted
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

from .unfolding import GUARDED, disturbed

SENSORS, SOURCES, ACTIVE = 24, 40, 3


def drawn(seed: int = 0, times: int = 60, batch: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Lead field, data of three columns, and noise variances that differ from sensor to sensor."""
    draw = torch.Generator().manual_seed(seed)
    lead = torch.randn(SENSORS, SOURCES, generator=draw, dtype=torch.float64)
    waves = 3.0 * torch.randn(batch, ACTIVE, times, generator=draw, dtype=torch.float64)
    noise = torch.randn(batch, SENSORS, generator=draw, dtype=torch.float64).mul(0.6).exp()
    white = torch.randn(batch, SENSORS, times, generator=draw, dtype=torch.float64)
    return lead, lead[:, :ACTIVE] @ waves + noise.sqrt()[:, :, None] * white, noise


def factors(lead: Tensor, y: Tensor, given: Tensor | None = None) -> Factors:
    problem = Problem(MatrixOperator(lead), y, noise=given)
    model = GaussianModel(problem, noise="diagonal" if given is None else "given")
    return read_factors(model)


def test_the_noise_is_found_whatever_the_lead_field() -> None:
    lead, y, noise = drawn()
    found = factors(lead, y).noise
    for edge in range(len(EDGES)):
        assert log_correlation(noise, found[..., edge].exp()).mean() > 0.9
    other = torch.randn(lead.shape, generator=torch.Generator().manual_seed(9)).double()
    torch.testing.assert_close(factors(other, y).noise, found, rtol=0, atol=0)


def test_a_solver_with_a_wrong_lead_field_misses_what_the_factors_see() -> None:
    lead, y, noise = drawn()
    wrong = lead + 0.7 * torch.randn(lead.shape, generator=torch.Generator().manual_seed(8))
    learned = solve(
        Problem(MatrixOperator(wrong.double()), y), Champagne("cb", tol=0.0, max_iter=10)
    )
    believed = torch.tensor(learned.details["noise_variance"], dtype=torch.float64)
    seen = log_correlation(noise, factors(wrong.double(), y).noise[..., 0].exp())
    assert seen.mean() > log_correlation(noise, believed).mean() + 0.1


def test_active_columns_lie_inside_the_subspace() -> None:
    lead, y, _ = drawn()
    outside = factors(lead, y).outside
    assert outside.max() <= 0.0
    assert outside[:, :ACTIVE].max() < outside[:, ACTIVE:].min() - 1.0


def test_units_do_not_matter() -> None:
    lead, y, _ = drawn()
    one, other = factors(lead, y), factors(1e-3 * lead, 1e5 * y)
    torch.testing.assert_close(other.outside, one.outside, rtol=0, atol=1e-9)
    shift = 2.0 * torch.log(torch.tensor(1e5, dtype=torch.float64))
    torch.testing.assert_close(other.noise, one.noise + shift, rtol=0, atol=1e-9)


def test_units_do_not_matter_in_single_precision_either() -> None:
    lead, y, _ = drawn()
    expected = factors(lead.float(), y.float()).outside
    for of_lead, of_data in ((1e-22, 1.0), (1.0, 1e-16), (1e12, 1e12)):
        found = factors((of_lead * lead).float(), (of_data * y).float()).outside
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-2)


def test_the_order_of_sensors_and_sources_does_not_matter() -> None:
    lead, y, _ = drawn()
    draw = torch.Generator().manual_seed(3)
    rows, columns = (torch.randperm(n, generator=draw) for n in (SENSORS, SOURCES))
    one, other = factors(lead, y), factors(lead[rows][:, columns], y[:, rows])
    torch.testing.assert_close(other.noise, one.noise[:, rows], rtol=0, atol=1e-9)
    torch.testing.assert_close(other.outside, one.outside[:, columns], rtol=0, atol=1e-9)


def test_batch_mates_do_not_matter() -> None:
    lead, y, _ = drawn()
    alone, among = factors(lead, y[2:3]), factors(lead, y)
    torch.testing.assert_close(alone.noise[0], among.noise[2], rtol=0, atol=1e-12)
    torch.testing.assert_close(alone.outside[0], among.outside[2], rtol=0, atol=1e-12)


def test_noise_that_is_given_is_taken_as_it_is() -> None:
    lead, y, _ = drawn()
    given = torch.linspace(0.5, 2.0, SENSORS, dtype=torch.float64)
    as_numbers = factors(lead, y, given)
    torch.testing.assert_close(as_numbers.noise[0, :, 0], given.log())
    as_matrix = factors(lead, y, torch.diag(given))
    torch.testing.assert_close(as_matrix.noise[0, :, 0], given.log())
    torch.testing.assert_close(as_matrix.outside, as_numbers.outside, rtol=0, atol=1e-9)


@pytest.mark.parametrize("times", [1, 5, 200])
def test_anything_can_be_read(times: int) -> None:
    lead, y, _ = drawn(times=times)
    lead[:, 5], lead[2], y[:, 2], y[1] = 0.0, lead[3], y[:, 3], 0.0
    found = factors(lead, y)
    assert torch.isfinite(found.noise).all()
    assert torch.isfinite(found.outside).all()
    assert (found.outside[:, 5] == 0).all()


def test_columns_of_one_location_are_looked_at_together() -> None:
    lead, y, _ = drawn()
    lead = torch.cat([lead, torch.zeros(SENSORS, 2, dtype=torch.float64)], 1)
    model = GaussianModel(Problem(MatrixOperator(lead, 3), y), orientation="tied")
    assert read_factors(model).outside.shape == (4, 14, len(EDGES))
    assert read_factors(model).outside[:, 0].max() < -2.0  # its three columns are the active ones


@pytest.mark.parametrize("kind", ["mlp", "attention"])
def test_a_network_that_is_shown_them_starts_as_it_was(kind: str) -> None:
    lead, y, _ = drawn()
    blind = Corrections(CorrectionSettings(kind, 3, factors=False), seed=2).double()  # type: ignore[arg-type]
    disturbed(UnfoldedSBL(blind), scale=0.3)
    seeing = sighted(blind)
    assert seeing.needs_factors
    assert not blind.needs_factors
    problem = Problem(MatrixOperator(lead), y)
    one, two = (solve(problem, UnfoldedSBL(network)) for network in (blind, seeing))
    torch.testing.assert_close(two.estimate, one.estimate, rtol=1e-9, atol=1e-12)
    with pytest.raises(MajorantError, match="cannot be shown factors"):
        sighted(seeing)


def test_the_guard_holds_for_any_weights_on_them() -> None:
    lead, y, _ = drawn()
    for mode in GUARDED:
        found = solve(Problem(MatrixOperator(lead), y), disturbed(UnfoldedSBL("mlp", mode, 12)))
        assert found.certificate.holds()
    free = solve(Problem(MatrixOperator(lead), y), disturbed(UnfoldedSBL("mlp", "free", 12)))
    assert not free.certificate.holds()


def test_files_from_before_are_networks_that_do_not_look(tmp_path: Path) -> None:
    path = tmp_path / "older.safetensors"
    held = Corrections(CorrectionSettings(layers=2, factors=False))
    held.save(path, {"mode": "gated"})
    tensors, info = read_archive(path, kind=KIND, version=VERSION)
    del info["settings"]["factors"]
    write_archive(path, tensors, info, kind=KIND, version=VERSION)
    again, _ = Corrections.load(path)
    assert again.settings == held.settings
    stage = again.stage(0)
    assert isinstance(stage, Correction)
