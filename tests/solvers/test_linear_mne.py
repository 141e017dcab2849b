"""The linear solvers equal MNE-Python's on the same whitened problem.

A spherical head, 40 electrodes under an average reference (so that the rank is 39), correlated
noise, 160 dipoles with oblique normals. The conversion of MNE's objects into a problem uses MNE's
own functions; what is compared is everything after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mne
import numpy as np
import pytest
import torch
from mne.beamformer import apply_lcmv, make_lcmv
from mne.minimum_norm import apply_inverse, make_inverse_operator

from majorant.problem import MatrixOperator, Problem
from majorant.solvers.base import KernelSolver
from majorant.solvers.eloreta import ELORETA
from majorant.solvers.lcmv import LCMV
from majorant.solvers.linear import DSPM, SLORETA, MinimumNorm
from majorant.solvers.loop import solve

SNR = 3.0
TOLERANCE = 1e-9  # they agree to 1e-12; 1e-6 is promised
EVERY = {"MNE": MinimumNorm(SNR), "dSPM": DSPM(SNR), "sLORETA": SLORETA(SNR)}
SETTINGS = [(loose, depth) for loose in (0.0, 0.2, 1.0) for depth in (None, 0.8)]


@dataclass(frozen=True)
class Head:
    evoked: mne.Evoked
    forward: mne.Forward
    noise_cov: mne.Covariance


@pytest.fixture(scope="module")
def head() -> Head:
    rng = np.random.default_rng(0)
    montage = mne.channels.make_standard_montage("biosemi64")
    names = [montage.ch_names[k] for k in sorted(rng.permutation(64)[:40])]
    info = mne.create_info(names, 100.0, "eeg")
    info.set_montage(montage, verbose=False)
    sphere = mne.make_sphere_model("auto", "auto", info, verbose=False)
    places = rng.standard_normal((160, 3))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    places[:, 2] = np.abs(places[:, 2])
    normals = places + 0.7 * rng.standard_normal(places.shape)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    places *= rng.uniform(0.025, 0.07, size=(160, 1))
    source_space = mne.setup_volume_source_space(
        pos={"rr": places + sphere["r0"], "nn": normals}, sphere=sphere, verbose=False
    )
    forward = mne.make_forward_solution(info, None, source_space, sphere, verbose=False)
    mixing = 1e-6 * (np.eye(40) + 0.3 * rng.standard_normal((40, 40)))
    data = 3e-6 * rng.standard_normal((40, 60))
    evoked = mne.EvokedArray(data, info, tmin=-0.1, nave=4, verbose=False)
    evoked.set_eeg_reference(projection=True, verbose=False)
    noise_cov = mne.Covariance(mixing @ mixing.T, names, [], [], 1000)
    return Head(evoked, forward, noise_cov)


def to_problem(head: Head, loose: float, depth: float | None) -> tuple[Problem, mne.Forward]:
    """Whitened problem of MNE's objects; the prior is relative, the solver scales it.

    The order is MNE's: orient the forward, take the depth prior from it (not whitened, before it is
    made fixed), the orientation prior from the loose parameter, then whiten gain and data with the
    noise covariance of the average, ``C / nave``, on its range.
    """
    info, nave = head.evoked.info, head.evoked.nave
    forward = mne.convert_forward_solution(head.forward, surf_ori=True, verbose=False)
    prior = np.ones(forward["sol"]["data"].shape[1])
    if depth is not None:
        prior = mne.forward.compute_depth_prior(
            forward,
            info,
            exp=depth,
            limit=10.0,
            limit_depth_chs=True,
            combine_xyz="spectral",
            noise_cov=head.noise_cov,
            verbose=False,
        )
    if loose == 0.0:
        prior = prior[2::3]
        forward = mne.convert_forward_solution(
            forward, surf_ori=True, force_fixed=True, verbose=False
        )
    prior = prior * mne.forward.compute_orient_prior(forward, loose=loose, verbose=False)
    whitener, _ = mne.cov.compute_whitener(head.noise_cov, info, pca=True, verbose=False)
    whitener = np.sqrt(nave) * whitener
    gain = torch.from_numpy(whitener @ forward["sol"]["data"])
    y = torch.from_numpy(whitener @ head.evoked.data)
    operator = MatrixOperator(gain, n_orient=1 if loose == 0.0 else 3)
    return Problem(operator, y[None], source_prior=torch.from_numpy(prior)), forward


def ours(head: Head, solver: KernelSolver, loose: float, depth: float | None) -> np.ndarray:
    """Estimate (n_locations, 3, n_times) in MNE's frame, or (n_locations, n_times) where fixed."""
    problem, forward = to_problem(head, loose, depth)
    estimate = solve(problem, solver).estimate[0].numpy()
    if loose == 0.0:
        return estimate
    axes = forward["source_nn"].reshape(-1, 3, 3)
    return axes.transpose(0, 2, 1) @ estimate.reshape(-1, 3, estimate.shape[-1])


def theirs(
    head: Head, method: str, loose: float, depth: float | None, pick_ori: str | None, **params: Any
) -> np.ndarray:
    forward = mne.convert_forward_solution(head.forward, surf_ori=True, verbose=False)
    inverse = make_inverse_operator(
        head.evoked.info, forward, head.noise_cov, loose=loose, depth=depth, verbose=False
    )
    return apply_inverse(
        head.evoked,
        inverse,
        1 / SNR**2,
        method,
        pick_ori=pick_ori,
        method_params=params or None,
        verbose=False,
    ).data


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.linalg.norm(found - expected) <= TOLERANCE * np.linalg.norm(expected)
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_the_problem_has_lost_one_rank(head: Head) -> None:
    problem, _ = to_problem(head, 0.0, None)
    assert problem.operator.n_sensors == len(head.evoked.ch_names) - 1


@pytest.mark.parametrize(("loose", "depth"), SETTINGS)
@pytest.mark.parametrize("method", EVERY)
def test_minimum_norm_and_its_statistics_equal_mne(
    head: Head, method: str, loose: float, depth: float | None
) -> None:
    found = ours(head, EVERY[method], loose, depth)
    if loose == 0.0:
        assert_close(found, theirs(head, method, loose, depth, None))
        return
    assert_close(found, theirs(head, method, loose, depth, "vector"))
    assert_close(np.linalg.norm(found, axis=1), theirs(head, method, loose, depth, None))


@pytest.mark.parametrize(("loose", "depth"), SETTINGS)
@pytest.mark.parametrize("force_equal", [False, True])
def test_eloreta_equals_mne(
    head: Head, loose: float, depth: float | None, force_equal: bool
) -> None:
    params = {"eps": 1e-6, "max_iter": 100, "force_equal": force_equal}
    found = ours(head, ELORETA(SNR, **params), loose, depth)
    pick_ori = None if loose == 0.0 else "vector"
    assert_close(found, theirs(head, "eLORETA", loose, depth, pick_ori, **params))


@pytest.mark.parametrize("loose", [0.0, 0.2, 1.0])
@pytest.mark.filterwarnings("ignore:eLORETA weight fitting did not converge:RuntimeWarning")
def test_eloreta_equals_mne_at_the_iteration_limit(head: Head, loose: float) -> None:
    found = ours(head, ELORETA(SNR, max_iter=3), loose, None)
    pick_ori = None if loose == 0.0 else "vector"
    assert_close(found, theirs(head, "eLORETA", loose, None, pick_ori, max_iter=3))


def test_the_scaled_prior_is_the_source_covariance_of_mne(head: Head) -> None:
    problem, forward = to_problem(head, 0.2, 0.8)
    inverse = make_inverse_operator(
        head.evoked.info, forward, head.noise_cov, loose=0.2, depth=0.8, verbose=False
    )
    kernel = MinimumNorm(SNR).kernel(problem)
    gain = problem.operator.matrix()
    scaled = kernel.target / gain.mT  # R L' over L', column by column
    expected = inverse["source_cov"]["data"] / head.evoked.nave
    assert_close(scaled.median(dim=1).values.numpy(), expected)


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize(
    ("ours_norm", "their_norm"),
    [
        ("unit-gain", None),
        ("unit-noise-gain", "unit-noise-gain"),
        ("unit-noise-gain-invariant", "unit-noise-gain-invariant"),
    ],
)
def test_lcmv_equals_mne(head: Head, fixed: bool, ours_norm: Any, their_norm: str | None) -> None:
    """MNE loads by the mean eigenvalue over all 40 sensors, the lost rank included: 39/40 of ours.

    Its noise covariance is that of single trials here, so ``nave`` is one.
    """
    evoked = head.evoked.copy()
    evoked.nave = 1
    one = Head(evoked, head.forward, head.noise_cov)
    forward = mne.convert_forward_solution(
        head.forward, surf_ori=True, force_fixed=fixed, verbose=False
    )
    referenced = evoked.copy().apply_proj(verbose=False)
    moment = referenced.data @ referenced.data.T / len(evoked.times)
    data_cov = mne.Covariance(moment, evoked.ch_names, [], evoked.info["projs"], 60)
    pick_ori = None if fixed else "vector"
    filters = make_lcmv(
        evoked.info,
        forward,
        data_cov,
        reg=0.05,
        noise_cov=head.noise_cov,
        pick_ori=pick_ori,
        weight_norm=their_norm,
        rank=None,
        verbose=False,
    )
    expected = apply_lcmv(evoked, filters, verbose=False).data
    found = ours(one, LCMV(0.05 * 39 / 40, ours_norm), 0.0 if fixed else 1.0, None)
    assert_close(found, expected)
