"""`recover`: arrays in, arrays out, the axes of the data kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from majorant import MajorantError, MatrixOperator, Problem, make, recover, solve
from majorant.problem import Status


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((20, 60))
    x = np.zeros((60, 50))
    x[7], x[31] = np.sin(np.arange(50) / 3), np.cos(np.arange(50) / 4)
    return matrix, x, matrix @ x + 0.5 * rng.standard_normal((20, 50))


def test_what_is_documented_is_recovered(made: tuple[np.ndarray, ...]) -> None:
    matrix, x, y = made
    found = recover(matrix, y, "champagne")
    power = np.linalg.norm(found.estimate, axis=1)
    assert sorted(power.argsort()[-2:].tolist()) == [7, 31]
    assert np.corrcoef(found.estimate[7], x[7])[0, 1] > 0.97
    assert found.estimate.shape == x.shape
    assert found.variance.shape == (60,)
    assert found.certificate.holds()
    assert isinstance(found.status, Status)


def test_a_sample_alone_in_a_batch_and_as_tensors_is_the_same(
    made: tuple[np.ndarray, ...],
) -> None:
    matrix, _, y = made
    batch = np.stack([y, -2 * y, y[::-1]])
    together = recover(matrix, batch)
    one = recover(matrix, y)
    np.testing.assert_allclose(together.estimate[0], one.estimate, rtol=1e-9, atol=1e-12)
    assert together.estimate.shape == (3, 60, 50)
    assert len(together.status) == 3
    tensors = recover(torch.from_numpy(matrix), torch.from_numpy(y))
    assert isinstance(tensors.estimate, torch.Tensor)
    assert torch.equal(tensors.estimate, torch.from_numpy(one.estimate))
    problem = Problem(MatrixOperator(torch.from_numpy(matrix)), torch.from_numpy(y)[None])
    assert torch.equal(solve(problem, make("champagne")).estimate[0], tensors.estimate)


def test_one_measurement_is_one_vector(made: tuple[np.ndarray, ...]) -> None:
    matrix, _, y = made
    found = recover(matrix.tolist(), y[:, 3], "mne", noise=0.25)
    assert found.estimate.shape == (60,)
    whole = recover(matrix, y, "mne", noise=np.full(20, 0.25))
    np.testing.assert_allclose(found.estimate, whole.estimate[:, 3], rtol=1e-9)
    covariance = recover(matrix, y, "mne", noise=0.25 * np.eye(20))
    np.testing.assert_allclose(covariance.estimate, whole.estimate, rtol=1e-9)


def test_integers_and_single_precision_are_numbers(made: tuple[np.ndarray, ...]) -> None:
    matrix, _, y = made
    assert recover(matrix, np.round(10 * y).astype(int), "mne").estimate.dtype == np.float64
    assert recover(matrix, y.astype(np.float32), "mne").estimate.dtype == np.float32


def test_the_data_of_the_caller_are_left_alone(made: tuple[np.ndarray, ...]) -> None:
    matrix, _, y = made
    locked = [array.copy() for array in (matrix, y)]
    for array in locked:
        array.setflags(write=False)
    recover(*locked, "mne")


@pytest.mark.parametrize(
    ("matrix", "y", "noise", "says"),
    [
        (np.eye(3), np.ones(4), None, "expected"),
        (np.eye(3), np.ones((1, 1, 3, 1)), None, r"\(sensors,\)"),
        (np.eye(3) + 1j, np.ones(3), None, "real numbers"),
        (torch.eye(3) + 1j, np.ones(3), None, "complex"),
        (np.array([["a"]]), np.ones(1), None, "real numbers"),
        (np.eye(3), [[1, 2], [3]], None, "real numbers"),
        (np.eye(3), np.array([1, np.nan, 2]), None, "NaN"),
        (np.eye(3), np.ones(3), -1.0, "zero or less"),
        (np.eye(3), np.ones(3), np.ones(2), "noise covariance has shape"),
    ],
)
def test_what_is_no_problem_is_refused_in_a_sentence(
    matrix: object, y: object, noise: object, says: str
) -> None:
    with pytest.raises(MajorantError, match=says):
        recover(matrix, y, "mne", noise=noise)


def test_a_sparse_matrix_is_asked_to_be_dense() -> None:
    from scipy.sparse import eye_array

    with pytest.raises(MajorantError, match="toarray"):
        recover(eye_array(3), np.ones(3), "mne")
