"""Columns behave as published, steps are of second order, and runs do not depend on their mates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.simulate import streams
from majorant.simulate.connectome import Connectome
from majorant.simulate.neural_mass import Integration, JansenRit, NeuralMass

SFREQ = 500.0


def keys(n: int, seed: int = 0) -> Tensor:
    return streams.keys(seed, torch.arange(n))


def alone(gain: float, mu: float, n: int = 64, n_times: int = 900) -> Tensor:
    model = NeuralMass(JansenRit(mu=mu), Integration(warmup=1200))
    return model.run(torch.full((n, 1), gain), keys(n), n_times)[:, 0]


def spikes_a_second(v: Tensor) -> float:
    inner = v[:, 1:-1]
    peaks = (inner > 8) & (inner > v[:, :-2]) & (inner >= v[:, 2:])
    return float(peaks.sum()) / (v.numel() / SFREQ)


def small_network() -> Connectome:
    rng = np.random.default_rng(0)
    weights = rng.random((6, 6))
    np.fill_diagonal(weights, 0)
    return Connectome(torch.tensor(weights), torch.tensor(rng.random((6, 6)) * 100))


def test_at_low_input_a_column_rests() -> None:
    v = alone(3.25, 0.087)
    assert 0.8 < float(v.mean()) < 1.4
    assert float(v.std(dim=1).mean()) < 0.5
    assert spikes_a_second(v) == 0


def test_at_textbook_input_a_column_makes_the_alpha_rhythm() -> None:
    v = alone(3.25, 0.22)
    power = torch.fft.rfft(v - v.mean(dim=1, keepdim=True)).abs().square().mean(0)
    peak = float(torch.fft.rfftfreq(v.shape[1], 1 / SFREQ)[power.argmax()])
    assert 8.0 < peak < 13.0


def test_a_column_spikes_more_often_as_its_gain_rises() -> None:
    rates = [spikes_a_second(alone(gain, 0.087)) for gain in (3.25, 3.6, 4.0)]
    assert rates == sorted(rates)
    assert rates[0] == 0
    assert 0.2 < rates[1] < 2.0
    assert rates[2] > 2.5


def test_noise_has_the_variance_of_a_damped_oscillator() -> None:
    """Without connections y1 is linear: its variance is sd^2 / (4 a^3)."""
    model = NeuralMass(JansenRit(J=0.0), Integration(warmup=500))
    v = model.run(torch.full((64, 1), 3.25), keys(64), 2000)
    expected = 0.0195**2 / (4 * 0.1**3)
    assert float(v.var(dim=2, correction=0).mean()) == pytest.approx(expected, rel=0.05)


def test_integration_is_of_second_order() -> None:
    quiet = JansenRit(mu=0.22, noise=0.0)
    ends = []
    for halved in range(5):
        step = Integration(dt=0.5 * 0.5**halved, every=2**halved, warmup=0)
        gain = torch.tensor([[3.25, 3.6]], dtype=torch.float64)
        ends.append(NeuralMass(quiet, step).run(gain, keys(1), 400, dtype=torch.float64)[0])
    errors = [float((a - b).abs().max()) for a, b in itertools.pairwise(ends)]
    ratios = [a / b for a, b in itertools.pairwise(errors)]
    assert all(3.5 < ratio < 4.6 for ratio in ratios)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("coupled", [False, True])
def test_a_run_is_the_same_to_the_last_bit_in_any_batch(
    sphere: Leadfield, dtype: torch.dtype, coupled: bool
) -> None:
    network = Connectome.from_distance(sphere, neighbours=20) if coupled else None
    model = NeuralMass(JansenRit(noise=0.1), Integration(warmup=0), network)
    gain = 3.25 + 0.5 * streams.uniform(keys(19, 1), 300)
    whole = model.run(gain, keys(19), 50, dtype=dtype)
    assert float(whole.amax()) > 8
    for part in (slice(0, 1), slice(3, 10), slice(18, 19), slice(5, 19)):
        assert torch.equal(model.run(gain[part], keys(19)[part], 50, dtype=dtype), whole[part])


def test_columns_of_odd_number_do_not_differ_in_the_last_bit() -> None:
    model = NeuralMass(integration=Integration(warmup=0))
    gain = torch.full((77, 1), 3.6)
    whole = model.run(gain, keys(77), 100)
    parts = [model.run(gain[k : k + 11], keys(77)[k : k + 11], 100) for k in range(0, 77, 11)]
    assert torch.equal(torch.cat(parts), whole)


def test_regions_and_runs_have_noise_of_their_own_and_a_longer_run_begins_with_a_shorter() -> None:
    model = NeuralMass(integration=Integration(warmup=0))
    v = model.run(torch.full((2, 3), 3.25), keys(2), 200)
    assert len({tuple(row.tolist()) for row in v.flatten(0, 1)}) == 6
    assert torch.equal(model.run(torch.full((2, 3), 3.25), keys(2), 120), v[..., :120])


def test_no_generator_and_no_number_of_threads_is_touched() -> None:
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    alone(3.25, 0.087, n=2, n_times=4)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


def test_a_signal_arrives_after_the_delay_and_not_before() -> None:
    """45 mm at 3 m/s are 15 ms: 30 steps."""
    weights = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    wire = Connectome(weights, 45.0 * weights, gain=2.0)
    step = Integration(every=1, warmup=0)
    column = JansenRit(noise=0.0, mu=0.22)
    gain = torch.tensor([[3.25, 3.25], [3.9, 3.25]], dtype=torch.float64)
    v = NeuralMass(column, step, wire).run(
        gain, torch.zeros(2, dtype=torch.int64), 60, dtype=gain.dtype
    )
    apart = (v[0] - v[1]).abs() > 0
    assert int(apart[0].nonzero()[0]) == 0
    assert 30 <= int(apart[1].nonzero()[0]) <= 33


# v = y1 - y2 in mV of six coupled columns after the given steps, from tvb-library 2.10: Heun,
# dt 0.5 ms, start at zero, A from 3.25 to 3.9, mu 0.12, v0 6, coupling 1, 3 m/s.
VIRTUAL_BRAIN: dict[int, list[float]] = {
    1: [0.004846515, 0.0050775641, 0.0052996271, 0.0055216823, 0.0057590351, 0.0059749222],
    100: [3.072586, 3.4081039, 3.7835848, 4.2240264, 4.7641324, 5.3646097],
    400: [3.6058986, 1.3757073, -0.0083218486, -0.42029038, -0.067376684, 0.26129603],
    1000: [11.053815, 1.2826318, 0.82039446, 2.1288048, 3.271877, 5.797664],
    2000: [1.5091732, 10.567901, 0.098149422, 2.6832396, 8.7803138, 6.142319],
}


def ours() -> Tensor:
    model = NeuralMass(
        JansenRit(mu=0.12, noise=0.0), Integration(every=1, warmup=0), small_network()
    )
    gain = torch.linspace(3.25, 3.9, 6, dtype=torch.float64)[None]
    return model.run(gain, keys(1), 2000, dtype=torch.float64)[0]


def test_dynamics_are_those_recorded_from_the_virtual_brain() -> None:
    v = ours()
    for step, expected in VIRTUAL_BRAIN.items():
        assert v[:, step - 1].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_dynamics_are_those_of_the_virtual_brain_run_now() -> None:
    lab = pytest.importorskip(
        "tvb.simulator.lab", reason="needs tvb-library: pip install 'majorant[tvb]'"
    )
    network = small_network()
    weights, lengths = network.weights.numpy(), network.lengths.numpy()
    wiring = lab.connectivity.Connectivity(
        weights=weights,
        tract_lengths=lengths,
        region_labels=np.array([str(i) for i in range(6)]),
        centres=np.zeros((6, 3)),
        speed=np.array([3.0]),
    )
    longest = int(np.rint(lengths.max() / 3.0 / 0.5)) + 1
    simulator = lab.simulator.Simulator(
        model=lab.models.JansenRit(
            A=np.linspace(3.25, 3.9, 6),
            mu=np.array([0.12]),
            v0=np.array([6.0]),
            variables_of_interest=("y1", "y2"),
        ),
        connectivity=wiring,
        coupling=lab.coupling.SigmoidalJansenRit(
            a=np.array([1.0]), cmin=np.array([0.0]), cmax=np.array([0.005])
        ),
        integrator=lab.integrators.HeunDeterministic(dt=0.5),
        monitors=(lab.monitors.Raw(),),
        simulation_length=1000.0,
        initial_conditions=np.zeros((longest, 6, 6, 1)),
    )
    simulator.configure()
    ((_, theirs),) = simulator.run()
    theirs = torch.from_numpy(theirs[:, 0, :, 0] - theirs[:, 1, :, 0]).T
    assert float((ours() - theirs).abs().max() / theirs.abs().max()) < 1e-3


def test_a_synthetic_connectome_listens_to_its_neighbours(sphere: Leadfield) -> None:
    network = Connectome.from_distance(sphere, neighbours=12)
    assert torch.allclose(network.weights.sum(1), torch.ones(300, dtype=torch.float64))
    assert ((network.weights > 0).sum(1) == 12).all()
    assert not network.weights.diagonal().any()
    table = network.table(0.5)
    assert table.longest == int(table.delay.max()) > 0
    dense = torch.zeros(300, 300, dtype=torch.float64).scatter_(1, table.source, table.weight)
    assert torch.equal(dense, network.weights)


def test_a_step_that_is_too_large_is_refused() -> None:
    with pytest.raises(MajorantError, match=r"too large .* at most 5 ms"):
        NeuralMass(integration=Integration(dt=5.1))


def test_potentials_that_no_column_can_have_are_refused() -> None:
    """A step beyond stability grows without a NaN at first."""
    model = NeuralMass(integration=Integration(warmup=0))
    object.__setattr__(model, "integration", Integration(dt=19.9, every=1, warmup=10))
    with pytest.raises(MajorantError, match="integration is unstable"):
        model.run(torch.full((4, 3), 3.25), keys(4), 50)


def test_a_column_stays_within_the_range_of_its_parameters() -> None:
    model = NeuralMass(JansenRit(mu=5.0, noise=0.0), Integration(warmup=2000))
    v = model.run(torch.full((1, 1), 9.0), keys(1), 100)
    assert 100.0 < float(v.max()) < 9.0 / 0.1 * (5.0 + 0.8 * 135 * 0.005)


def test_potentials_that_do_not_stay_finite_are_refused() -> None:
    model = NeuralMass(integration=Integration(warmup=0))
    with pytest.raises(MajorantError, match="did not stay finite"):
        model.run(torch.tensor([[3.25], [1e38]]), keys(2), 100)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: JansenRit(A=-1.0), "negative"),
        (lambda: JansenRit(a=0.0), "positive"),
        (lambda: JansenRit(r=0.0), "positive"),
        (lambda: Integration(every=2.5), "whole"),  # type: ignore[arg-type]
        (lambda: NeuralMass().run(torch.tensor([[float("nan")]]), keys(1), 5), "not positive"),
        (lambda: Integration(every=0), "one or more"),
        (lambda: Connectome(torch.ones(2, 2), torch.ones(2, 2)), "itself"),
        (lambda: Connectome(torch.zeros(2, 3), torch.zeros(2, 3)), "square"),
        (lambda: Connectome(-torch.eye(2), torch.ones(2, 2)), "negative"),
        (lambda: NeuralMass().run(torch.ones(3), torch.zeros(3), 5), "shape"),
    ],
)
def test_bad_input_is_one_sentence(make: object, says: str) -> None:
    assert callable(make)
    with pytest.raises(MajorantError, match=says):
        make()
