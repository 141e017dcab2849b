"""One imager for averages, trials, continuous data and covariances, in every source space."""

from __future__ import annotations

from typing import Any

import mne
import numpy as np
import pytest
from mne.minimum_norm import (
    apply_inverse_cov,
    apply_inverse_epochs,
    apply_inverse_raw,
    make_inverse_operator,
)

from majorant import SourceImager
from majorant.problem import MajorantError

SNR = 3.0


@pytest.fixture(scope="module")
def info(sphere_forward: Any, averages: list[Any]) -> Any:
    evoked = averages[0].copy().pick("eeg", verbose="error")
    return evoked.set_eeg_reference("average", projection=True, verbose="error").info


@pytest.fixture(scope="module")
def noise_cov(info: Any) -> Any:
    rng = np.random.default_rng(5)
    mixing = 5e-6 * (np.eye(32) + 0.2 * rng.standard_normal((32, 32)))
    return mne.Covariance(mixing @ mixing.T, info["ch_names"], [], [], 1000)


@pytest.fixture(scope="module")
def referenced(raw: Any) -> Any:
    """The first 8 s of the recording, with an average-reference projector."""
    made = raw.copy().crop(0, 8).pick("eeg", verbose="error")
    return made.set_eeg_reference("average", projection=True, verbose="error")


@pytest.fixture(scope="module")
def trials(epochs: Any) -> Any:
    made = epochs.copy()[:5].pick("eeg", verbose="error")
    return made.set_eeg_reference("average", projection=True, verbose="error")


@pytest.fixture(scope="module")
def small(sphere_forward: Any) -> Any:
    """Twelve of the dipoles: enough for solvers that take their time."""
    return _first(sphere_forward, 12)


def _first(forward: Any, n: int) -> Any:
    """A forward of its first `n` locations."""
    made = forward.copy()
    part = made["src"][0]
    part["vertno"], part["nuse"] = part["vertno"][:n], n
    part["inuse"] = np.isin(np.arange(part["np"]), part["vertno"]).astype(int)
    made["source_rr"], made["source_nn"] = made["source_rr"][:n], made["source_nn"][: 3 * n]
    made["nsource"] = n
    for key in ("sol",):
        made[key]["data"] = made[key]["data"][:, : 3 * n]
        made[key]["ncol"] = 3 * n
    made["_orig_sol"] = made["_orig_sol"][:, : 3 * n]
    return made


def assert_equal(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-6) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("pick_ori", [None, "normal", "vector"])
@pytest.mark.parametrize("method", ["MNE", "sLORETA"])
def test_trials_continuous_data_and_covariances_equal_those_of_mne(
    trials: Any,
    referenced: Any,
    info: Any,
    noise_cov: Any,
    sphere_forward: Any,
    method: str,
    pick_ori: str | None,
) -> None:
    inverse = make_inverse_operator(
        info, sphere_forward, noise_cov, loose=0.4, depth=0.8, verbose="error"
    )
    imager = SourceImager(method.lower(), loose=0.4, depth=0.8, pick_ori=pick_ori)
    imager.fit(info, sphere_forward, noise_cov)
    same = {"lambda2": SNR**-2, "method": method, "verbose": "error"}
    expected = apply_inverse_epochs(trials, inverse, pick_ori=pick_ori, **same)
    for found, other in zip(imager.apply(trials), expected, strict=True):
        assert type(found) is type(other)
        assert_equal(found.data, other.data)
        assert found.tmin == other.tmin
    whole = imager.apply(referenced)
    assert_equal(whole.data, apply_inverse_raw(referenced, inverse, pick_ori=pick_ori, **same).data)
    assert imager.certificate_.holds()
    if pick_ori == "vector":
        return
    power = apply_inverse_cov(noise_cov, info, inverse, pick_ori=pick_ori, **same)
    assert_equal(imager.apply(noise_cov).data, power.data)


@pytest.mark.parametrize("pick_ori", [None, "normal", "vector"])
def test_a_stream_is_the_whole_whatever_its_pieces(
    referenced: Any, info: Any, noise_cov: Any, sphere_forward: Any, pick_ori: str | None
) -> None:
    imager = SourceImager("dspm", loose=0.4, pick_ori=pick_ori)
    imager.fit(info, sphere_forward, noise_cov)
    whole = imager.apply(referenced, start=100, stop=601)
    assert whole.tmin == 1.0
    for chunk in (37, 300, 5000):
        pieces = list(imager.stream(referenced, start=100, stop=601, chunk=chunk))
        joined = np.concatenate([piece.data for piece in pieces], axis=-1)
        assert_equal(joined, whole.data)
        assert [p.tmin for p in pieces] == pytest.approx(
            1 + np.cumsum([0, *(p.shape[-1] for p in pieces[:-1])]) / 100
        )


@pytest.mark.parametrize("solver", ["champagne", "unfolded-sbl"])
def test_solvers_that_couple_times_depend_on_their_windows_alone(
    referenced: Any, info: Any, noise_cov: Any, small: Any, solver: str
) -> None:
    options = {"max_iter": 5} if solver == "champagne" else {}
    imager = SourceImager(solver, loose=1, pick_ori="vector", **options)
    imager.fit(info, small, noise_cov)
    whole = imager.apply(referenced, stop=401)
    assert imager.certificate_.holds()
    for chunk in (60, 150):
        pieces = list(imager.stream(referenced, stop=401, chunk=chunk))
        assert len(pieces) > 1
        # Networks run in single precision, and batches of other sizes round otherwise.
        tolerance = 1e-4 if solver == "unfolded-sbl" else 1e-6
        joined = np.concatenate([p.data for p in pieces], axis=-1)
        assert_equal(joined, whole.data, tolerance)
    other = np.concatenate([p.data for p in imager.stream(referenced, stop=401, window=0.5)], -1)
    assert np.abs(other - whole.data).max() > 1e-3 * np.abs(whole.data).max()


def test_lcmv_learns_its_filters_from_all_data_or_those_it_is_given(
    referenced: Any, trials: Any, info: Any, noise_cov: Any, small: Any
) -> None:
    imager = SourceImager("lcmv", loose=1, pick_ori="vector").fit(info, small, noise_cov)
    whole = imager.apply(referenced)
    pieces = list(imager.stream(referenced, chunk=100))
    assert_equal(np.concatenate([p.data for p in pieces], -1), whole.data)
    data = referenced.copy().apply_proj(verbose="error").get_data()
    moment = mne.Covariance(data @ data.T / data.shape[1], info["ch_names"], [], [], 800)
    told = SourceImager("lcmv", loose=1, pick_ori="vector")
    told.fit(info, small, noise_cov, data_cov=moment)
    assert_equal(told.apply(referenced).data, whole.data)
    assert_equal(told.apply(trials)[2].data, _cut(told, trials))


def _cut(imager: SourceImager, trials: Any) -> np.ndarray:
    """The third trial as an average of one."""
    return imager.apply(trials[2].average()).data


def test_linear_estimates_are_lazy_and_trials_come_one_by_one(
    trials: Any, info: Any, noise_cov: Any, sphere_forward: Any
) -> None:
    imager = SourceImager("mne", loose=0).fit(info, sphere_forward, noise_cov)
    first = next(imager.apply(trials, return_generator=True))
    assert first._data is None
    assert first._kernel.shape == (150, 31)
    assert imager.apply(trials[0].average())._data is None
    seen: list[tuple[int, int]] = []
    assert len(imager.apply(trials, lambda done, of: seen.append((done, of)))) == 5
    assert seen[-1] == (5, 5)


def test_batches_of_trials_are_what_trials_are_one_by_one(
    trials: Any, info: Any, noise_cov: Any, small: Any
) -> None:
    imager = SourceImager("champagne", max_iter=10).fit(info, small, noise_cov)
    together = imager.apply(trials)
    for k, found in enumerate(together):
        assert_equal(found.data, imager.apply(trials[k].average()).data, 1e-9)


def test_the_direction_of_most_power_is_that_of_the_vectors(
    trials: Any, info: Any, noise_cov: Any, sphere_forward: Any
) -> None:
    evoked = trials.average()
    fitted = [
        SourceImager("mne", loose=1, pick_ori=pick).fit(info, sphere_forward, noise_cov)
        for pick in ("max-power", "vector", None)
    ]
    along, vector, length = (imager.apply(evoked).data for imager in fitted)
    power = np.linalg.eigvalsh(np.einsum("lot,lpt->lop", vector, vector))[:, -1]
    assert_equal((along**2).sum(1), power)
    assert (np.abs(along) <= length * (1 + 1e-9)).all()


def test_what_cannot_be_had_of_some_data_is_said(
    trials: Any, referenced: Any, info: Any, noise_cov: Any, small: Any
) -> None:
    imager = SourceImager("mne", loose=1, pick_ori="max-power").fit(info, small, noise_cov)
    for call, says in (
        (lambda: imager.stream(referenced), "a stream has not seen them"),
        (lambda: imager.apply(noise_cov), "a covariance gives power"),
        (lambda: imager.apply(trials, start=100), "crop an average"),
        (lambda: imager.apply(np.zeros(3)), "a ndarray cannot be imaged"),
        (lambda: imager.apply(referenced, start=900), "holds none; the recording has 801 samples"),
        (lambda: imager.apply(referenced, stop=2.0), r"whole numbers, as in MNE; .*time_as_index"),
        (lambda: imager.stream(referenced, start=0.5), "start is 0.5, and samples are counted"),
        (lambda: imager.stream(referenced, stop=True), "stop is True"),
    ):
        with pytest.raises(MajorantError, match=says):
            call()
    plain = SourceImager("mne").fit(info, small, noise_cov)
    with pytest.raises(MajorantError, match=r"no windows; .* auto, champagne, .*unfolded-sbl"):
        plain.stream(referenced, window=1.0)
    broken = referenced.copy()
    broken._data[3, 50] = np.nan
    with pytest.raises(MajorantError, match=f"NaN or infinite values in {info['ch_names'][3]}"):
        plain.apply(broken)
    with pytest.raises(MajorantError, match=r"does not adapt .* one of lcmv"):
        SourceImager("mne").fit(info, small, noise_cov, data_cov=noise_cov)
