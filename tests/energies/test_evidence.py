"""The evidence cost: its value, its gradient, its identities, and the Gaussian model behind it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from majorant.energies.evidence import Evidence, EvidenceEnergy
from majorant.energies.gaussian import GaussianModel, NoiseModel, Orientation
from majorant.energies.variances import Covariance, LogVariance, Part, Variances, log_ratio, update
from majorant.problem import FunctionOperator, MajorantError, MatrixOperator, Problem

BATCH, SENSORS, LOCATIONS = 3, 7, 5

MODELS = [
    (orientation, noise)
    for orientation in ("fixed", "tied", "block")
    for noise in ("diagonal", "scalar", "full", "given")
]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem(times: int = 9, n_orient: int = 3, seed: int = 0, **kwargs) -> Problem:
    lead = normal(SENSORS, LOCATIONS * n_orient, seed=seed)
    return Problem(
        MatrixOperator(lead, n_orient), normal(BATCH, SENSORS, times, seed=seed + 1), **kwargs
    )


def model(orientation: Orientation, noise: NoiseModel, **kwargs) -> GaussianModel:
    return GaussianModel(problem(**kwargs), orientation=orientation, noise=noise)


def shaken(part: Part, seed: int) -> Part:
    """A random part of the same kind and shape."""
    if isinstance(part, LogVariance):
        return LogVariance(part.log + normal(*part.log.shape, seed=seed))
    assert isinstance(part, Covariance)
    factor = normal(*part.matrix.shape, seed=seed)
    return Covariance(factor @ factor.mT)


def shaken_state(m: GaussianModel, seed: int = 5) -> Variances:
    return Variances(shaken(m.start.gamma, seed), shaken(m.start.noise, seed + 1))


def held(part: Part) -> Tensor:
    """The tensor that a part holds."""
    return part.log if isinstance(part, LogVariance) else part.matrix


def source_matrix(m: GaussianModel, gamma: Part) -> Tensor:
    """Gamma as dense matrices."""
    if isinstance(gamma, Covariance):
        return torch.stack([torch.block_diag(*blocks) for blocks in gamma.matrix])
    return torch.diag_embed(m.spread(gamma))


def noise_matrix(m: GaussianModel, noise: Part) -> Tensor:
    """Lambda as dense matrices."""
    value = m.noise_covariance(noise)
    return value if value.ndim == 3 else torch.diag_embed(value)


def direct_cost(m: GaussianModel, p: Problem, state: Variances) -> Tensor:
    """The definition, with nothing shared: log det Sigma + tr(Sigma^-1 Y Y' / T)."""
    lead = p.operator.matrix()
    sigma = lead @ source_matrix(m, state.gamma) @ lead.mT + noise_matrix(m, state.noise)
    second = p.y @ p.y.mT / p.n_times
    return torch.logdet(sigma) + torch.linalg.solve(sigma, second).diagonal(dim1=1, dim2=2).sum(1)


@pytest.mark.parametrize(("orientation", "noise"), MODELS)
@pytest.mark.parametrize("times", [7, 40])
def test_the_cost_is_its_definition(orientation, noise, times) -> None:
    p = problem(times)
    m = GaussianModel(p, orientation=orientation, noise=noise)
    for state in (m.start, shaken_state(m)):
        torch.testing.assert_close(
            EvidenceEnergy(m).value(state), direct_cost(m, p, state), rtol=1e-11, atol=1e-11
        )


@pytest.mark.parametrize(("orientation", "noise"), MODELS)
def test_the_gradient_is_that_of_automatic_differentiation(orientation, noise) -> None:
    m = model(orientation, noise)
    energy, state = EvidenceEnergy(m), shaken_state(m)
    leaves = [held(part).clone().requires_grad_() for part in (state.gamma, state.noise)]
    parts = [
        type(part)(leaf) for part, leaf in zip((state.gamma, state.noise), leaves, strict=True)
    ]
    expected = torch.autograd.grad(energy.value(Variances(*parts)).sum(), leaves)
    value, grad = energy.value_and_grad(state)
    torch.testing.assert_close(value, energy.value(state))
    for part, reference in zip((grad.gamma, grad.noise), expected, strict=True):
        scale = float(reference.abs().max())
        found = held(part)
        symmetric = (reference + reference.mT) / 2 if reference.ndim == 4 else reference
        assert float((found - symmetric).abs().max()) < 1e-10 * max(scale, 1.0)


def test_z_minus_a_and_w_minus_b_are_the_derivatives_by_the_variances() -> None:
    m = GaussianModel(problem(n_orient=1))
    state = shaken_state(m)
    gamma = state.log_gamma.exp().requires_grad_()
    noise = state.log_noise.exp().requires_grad_()
    cost = EvidenceEnergy(m).value(Variances(LogVariance(gamma.log()), LogVariance(noise.log())))
    by_gamma, by_noise = torch.autograd.grad(cost.sum(), (gamma, noise))
    s = Evidence(m, state).statistics
    torch.testing.assert_close(s.z - s.a, by_gamma, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(s.w - s.b, by_noise, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("times", [1, 4, 30])
def test_the_identities_hold(times) -> None:
    m = GaussianModel(problem(times, n_orient=1))
    for seed in range(5):
        state = shaken_state(m, seed)
        s = Evidence(m, state).statistics
        sources, sensors = state.log_gamma.exp() * s.z, state.log_noise.exp() * s.w
        assert bool(((sources > 0) & (sources < 1)).all())
        assert bool(((sensors > 0) & (sensors <= 1)).all())
        torch.testing.assert_close(
            sources.sum(1) + sensors.sum(1), torch.full((BATCH,), float(SENSORS)).double()
        )


def test_the_log_evidence_is_the_density_of_the_data() -> None:
    p = problem(12)
    m = GaussianModel(p, orientation="tied")
    state = shaken_state(m)
    lead = p.operator.matrix()
    sigma = lead @ source_matrix(m, state.gamma) @ lead.mT + noise_matrix(m, state.noise)
    density = torch.distributions.MultivariateNormal(torch.zeros(SENSORS).double(), sigma)
    expected = density.log_prob(p.y.permute(2, 0, 1)).sum(0)
    torch.testing.assert_close(Evidence(m, state).log_evidence(), expected)


@pytest.mark.parametrize("orientation", ["fixed", "tied", "block"])
@pytest.mark.parametrize("prior", [None, 0.3])
def test_the_posterior_is_that_of_conditioning_a_gaussian(orientation, prior) -> None:
    weights = None if prior is None else torch.tensor([prior, prior, 1.0]).double().repeat(5)
    p = problem(source_prior=weights)
    m = GaussianModel(p, orientation=orientation)
    state = shaken_state(m)
    scale = torch.ones(15).double() if weights is None else weights.sqrt()
    gamma = scale[:, None] * source_matrix(m, state.gamma) * scale
    lead = p.operator.matrix()
    gain = gamma @ lead.mT @ torch.linalg.inv(lead @ gamma @ lead.mT + noise_matrix(m, state.noise))
    evidence = Evidence(m, state)
    torch.testing.assert_close(evidence.mean(p.y), gain @ p.y)
    covariance = gamma - gain @ lead @ gamma
    torch.testing.assert_close(evidence.variance(), covariance.diagonal(dim1=1, dim2=2))


@pytest.mark.parametrize(("orientation", "noise"), MODELS)
def test_what_noise_gives_the_mean_is_that_of_its_weights(orientation, noise) -> None:
    p = problem()
    m = GaussianModel(p, orientation=orientation, noise=noise)
    state = shaken_state(m)
    lead, gamma, spread = (
        p.operator.matrix(),
        source_matrix(m, state.gamma),
        noise_matrix(m, state.noise),
    )
    weights = gamma @ lead.mT @ torch.linalg.inv(lead @ gamma @ lead.mT + spread)
    expected = (weights @ spread @ weights.mT).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(Evidence(m, state).by_noise(), expected)


def test_noise_that_has_lost_a_direction_gives_the_mean_what_is_left() -> None:
    m = GaussianModel(problem(), orientation="tied", noise="full")
    state = shaken_state(m)
    matrix = held(state.noise).clone()
    matrix[..., 0, :] = matrix[..., :, 0] = 0.0
    less = Evidence(m, Variances(state.gamma, Covariance(matrix))).by_noise()
    assert bool(torch.isfinite(less).all())
    assert bool((less > 0).all())


def test_the_start_is_at_the_scale_of_the_data() -> None:
    p = problem(n_orient=1)
    lead, m = p.operator.matrix(), GaussianModel(p)
    matched = (lead.mT @ p.y / lead.square().sum(0)[:, None]).square().mean((1, 2))
    expected = matched[:, None].expand(-1, LOCATIONS)
    torch.testing.assert_close(m.start.log_gamma.exp(), expected)
    noise = 0.1 * p.y.square().mean((1, 2))
    torch.testing.assert_close(m.start.log_noise.exp(), noise[:, None].expand(-1, SENSORS))


def test_a_lead_field_per_sample_is_a_batch_of_problems() -> None:
    leads = normal(BATCH, SENSORS, 6, seed=3)
    y = normal(BATCH, SENSORS, 4, seed=4)
    together = GaussianModel(Problem(MatrixOperator(leads), y))
    state = shaken_state(together)
    for i in range(BATCH):
        alone = GaussianModel(Problem(MatrixOperator(leads[i]), y[i : i + 1]))
        own = Variances(
            LogVariance(state.log_gamma[i : i + 1]), LogVariance(state.log_noise[i : i + 1])
        )
        torch.testing.assert_close(
            Evidence(alone, own).statistics.a[0], Evidence(together, state).statistics.a[i]
        )
        torch.testing.assert_close(
            Evidence(alone, own).value[0], Evidence(together, state).value[i]
        )


def test_cutting_the_columns_into_pieces_changes_nothing(monkeypatch) -> None:
    whole = Evidence(m := model("tied", "diagonal"), m.start)
    monkeypatch.setattr("majorant.energies.gaussian.CHUNK", {"cpu": 1})
    pieces = Evidence(m := model("tied", "diagonal"), m.start)
    torch.testing.assert_close(whole.value, pieces.value)
    torch.testing.assert_close(whole.statistics.z, pieces.statistics.z)
    torch.testing.assert_close(whole.statistics.a, pieces.statistics.a)


@pytest.mark.parametrize("orientation", ["fixed", "tied", "block"])
def test_gradients_flow_through_the_statistics_and_the_update(orientation) -> None:
    m = model(orientation, "diagonal")
    state = shaken_state(m)

    def step(source: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        symmetric = source if source.ndim == 2 else (source + source.mT) / 2
        here = Variances(type(state.gamma)(symmetric), LogVariance(noise))
        evidence = Evidence(m, here)
        s = evidence.statistics
        moved = update(noise, log_ratio(s.b, s.w), 0.5, torch.zeros_like(noise))
        return s.z, s.a, moved, evidence.value

    leaves = [held(part).clone().requires_grad_() for part in (state.gamma, state.noise)]
    assert torch.autograd.gradcheck(step, leaves)


def test_the_box_holds_the_floor_and_always_contains_the_current_point() -> None:
    m = GaussianModel(problem(n_orient=1))
    start = m.start
    deep = Variances(LogVariance(start.log_gamma - 1e4), LogVariance(start.log_noise - 1e4))
    floor = m.within(start, deep)
    torch.testing.assert_close(floor.log_gamma, start.log_gamma - 60 * math.log(10))
    torch.testing.assert_close(floor.log_noise, start.log_noise - 3 * math.log(10))
    below = Variances(LogVariance(floor.log_gamma - 1.0), LogVariance(floor.log_noise - 1.0))
    assert torch.equal(m.within(below, below).log_gamma, below.log_gamma)
    assert torch.equal(m.within(below, deep).log_noise, below.log_noise)
    high = Variances(LogVariance(start.log_gamma + 1e4), LogVariance(start.log_noise + 1e4))
    assert bool(m.within(start, high).finite().all())
    assert bool((m.within(start, high).log_gamma < high.log_gamma).all())


def test_the_box_of_single_precision_stays_above_what_it_can_hold() -> None:
    p = problem(n_orient=1)
    tiny = Problem(MatrixOperator(p.operator.matrix().float()), 1e-12 * p.y.float())
    m = GaussianModel(tiny)
    deep = Variances(LogVariance(m.start.log_gamma - 1e4), m.start.noise)
    assert bool((m.within(m.start, deep).log_gamma.exp() > 0).all())


def test_noise_that_is_given_stays() -> None:
    given = torch.linspace(0.5, 2.0, SENSORS).double()
    m = GaussianModel(problem(noise=given), noise="given")
    torch.testing.assert_close(m.noise_covariance(m.start.noise), given.expand(BATCH, -1))
    assert m.within(m.start, shaken_state(m)).noise is m.start.noise
    full = torch.diag(given) + 0.1
    m = GaussianModel(problem(noise=full), noise="given")
    torch.testing.assert_close(noise_matrix(m, m.start.noise), full.expand(BATCH, -1, -1))


def test_full_noise_keeps_its_share_of_what_was_given() -> None:
    given = torch.diag(torch.linspace(0.5, 2.0, SENSORS).double()) + 0.1
    p = problem(noise=given)
    m = GaussianModel(p, noise="full", shrinkage=0.2)
    torch.testing.assert_close(m.noise_covariance(m.start.noise), given.expand(BATCH, -1, -1))
    nothing = Covariance(torch.zeros_like(held(m.start.noise)))
    torch.testing.assert_close(m.noise_covariance(nothing), (0.2 * given).expand(BATCH, -1, -1))


def test_the_estimate_of_the_rounding_covers_a_change_of_order() -> None:
    lead, y = normal(12, 80, seed=7), normal(1, 12, 5, seed=8)
    log_gamma, log_noise = 5 * normal(1, 80, seed=9), 2 * normal(1, 12, seed=10) - 6
    values, estimates = [], []
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        rows, columns = (torch.randperm(k, generator=generator) for k in (12, 80))
        m = GaussianModel(Problem(MatrixOperator(lead[rows][:, columns]), y[:, rows]))
        state = Variances(LogVariance(log_gamma[:, columns]), LogVariance(log_noise[:, rows]))
        evidence = Evidence(m, state)
        values.append(float(evidence.value))
        estimates.append(float(evidence.rounding))
    assert 0 < max(values) - min(values) < min(estimates) < 1e-7


def test_a_column_of_zeros_and_a_column_switched_off_change_nothing() -> None:
    lead = normal(SENSORS, 6, seed=3)
    lead[:, 2] = 0
    p = Problem(
        MatrixOperator(lead),
        normal(BATCH, SENSORS, 4, seed=4),
        source_prior=torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0]).double(),
    )
    m = GaussianModel(p)
    evidence = Evidence(m, m.start)
    s = evidence.statistics
    assert bool((log_ratio(s.a, s.z)[:, 1:3] == 0).all())
    assert bool((evidence.mean(p.y)[:, 1:3] == 0).all())
    assert bool((evidence.variance()[:, 1] == 0).all())
    assert bool(torch.isfinite(evidence.value).all())


def test_what_does_not_fit_is_said_in_one_sentence() -> None:
    p = problem(4)
    lead = p.operator.matrix()
    free = FunctionOperator(
        lambda x: lead @ x,
        lambda y: lead.mT @ y,
        n_sensors=SENSORS,
        n_columns=15,
        norm_bound=9.0,
    )
    cases = [
        (Problem(free, p.y), {}, "matrix-free"),
        (p, {"noise": "full"}, "cannot be learned from 4 time points"),
        (p, {"noise": "pink"}, "noise 'pink' is unknown"),
        (p, {"orientation": "up"}, "orientation 'up' is unknown"),
        (p, {"shrinkage": 1.5}, "shrinkage of 1.5"),
        (Problem(p.operator, p.y.half()), {}, "torch.float16"),
        (Problem(MatrixOperator(0 * lead), p.y), {}, "lead field is zero"),
        (Problem(p.operator, p.y, torch.zeros(SENSORS)), {"noise": "given"}, "not positive"),
        (
            Problem(p.operator, p.y, torch.ones(SENSORS, SENSORS)),
            {"noise": "given"},
            "noise covariance is not positive definite",
        ),
    ]
    for bad, options, words in cases:
        with pytest.raises(MajorantError, match=words):
            GaussianModel(bad, **options)
    with pytest.raises(TypeError, match="no logarithms"):
        _ = model("block", "full").start.log_gamma
    GaussianModel(p, noise="full", shrinkage=0.1)
