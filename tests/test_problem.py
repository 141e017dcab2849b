"""The public doors refuse what cannot be solved, in one sentence each."""

from __future__ import annotations

import pytest
import torch

from majorant.problem import Certificate, FunctionOperator, MajorantError, MatrixOperator, Problem


def operator(n: int = 5, s: int = 12, n_orient: int = 1) -> MatrixOperator:
    lead = torch.randn(n, s, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return MatrixOperator(lead, n_orient)


def test_apply_and_adjoint_are_adjoint() -> None:
    op, g = operator(), torch.Generator().manual_seed(2)
    x = torch.randn(3, 12, 4, generator=g, dtype=torch.float64)
    y = torch.randn(3, 5, 4, generator=g, dtype=torch.float64)
    torch.testing.assert_close((op.apply(x) * y).sum(), (x * op.adjoint(y)).sum())


def test_the_norm_bound_is_above_the_norm_and_close_to_it() -> None:
    op = operator()
    norm = torch.linalg.matrix_norm(op.matrix(), 2)
    assert norm <= op.norm_bound() <= norm * (1 + 1e-9)


def test_the_thin_svd_rebuilds_the_matrix_without_its_null_space() -> None:
    lead = operator().matrix()
    centred = lead - lead.mean(0)
    svd = MatrixOperator(centred).svd()
    assert svd.s.shape == (4,)
    torch.testing.assert_close(svd.u @ torch.diag(svd.s) @ svd.vh, centred)


def test_a_matrix_free_operator_has_what_it_was_given() -> None:
    op = FunctionOperator(
        lambda x: 2 * x, lambda y: 2 * y, n_sensors=3, n_columns=3, norm_bound=2.0
    )
    y = torch.ones(1, 3, 1)
    assert torch.equal(op.adjoint(op.apply(y)), 4 * y)
    assert op.matrix() is None
    assert op.svd() is None
    assert float(op.norm_bound()) == 2.0


@pytest.mark.parametrize(
    ("matrix", "n_orient", "says"),
    [
        (torch.ones(3), 1, "shape"),
        (torch.ones(3, 4), 3, "cannot be grouped by 3"),
        (torch.ones(3, 4), 2, "n_orient is 1 for"),
        (torch.full((3, 4), torch.nan), 1, "NaN"),
    ],
)
def test_bad_lead_fields_are_refused(matrix: torch.Tensor, n_orient: int, says: str) -> None:
    with pytest.raises(MajorantError, match=says):
        MatrixOperator(matrix, n_orient)


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (torch.ones(5, 4), "add a batch axis"),
        (torch.ones(1, 6, 4), "expected"),
        (torch.ones(0, 5, 4), "nothing to image"),
        (torch.ones(1, 5, 0), "nothing to image"),
        (torch.full((1, 5, 2), torch.inf), "NaN or infinite"),
    ],
)
def test_bad_data_are_refused(y: torch.Tensor, says: str) -> None:
    with pytest.raises(MajorantError, match=says):
        Problem(operator(), y.double())


def test_what_is_no_tensor_of_real_numbers_is_refused_with_how_to_make_one() -> None:
    matrix = torch.ones(5, 12, dtype=torch.float64)
    with pytest.raises(MajorantError, match=r"lead field is of type ndarray; .*torch\.as_tensor"):
        MatrixOperator(matrix.numpy())  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match="data are of type ndarray"):
        Problem(operator(), torch.ones(1, 5, 2).numpy())  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match="data are of int64 numbers"):
        Problem(operator(), torch.ones(1, 5, 2, dtype=torch.int64))
    with pytest.raises(MajorantError, match=r"operator is a Tensor; wrap a matrix"):
        Problem(matrix, torch.ones(1, 5, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"noise": torch.ones(4)}, "noise covariance"),
        ({"source_prior": torch.ones(4)}, "source prior has shape"),
        ({"source_prior": -torch.ones(12)}, "negative"),
    ],
)
def test_bad_priors_are_refused(changes: dict[str, torch.Tensor], says: str) -> None:
    with pytest.raises(MajorantError, match=says):
        Problem(operator(), torch.ones(1, 5, 2, dtype=torch.float64), **changes)


def test_a_certificate_speaks_plainly() -> None:
    zero = torch.zeros(1, dtype=torch.int64)
    energy = torch.tensor([[2.0], [1.0]], dtype=torch.float64)
    kept = Certificate(energy, zero, zero, zero, zero, "evidence cost", guard="energy, window 1")
    assert kept.holds()
    assert "never rose over 1 accepted" in kept.sentence()
    broken = Certificate(energy, zero + 3, zero, zero, zero, "evidence cost")
    assert not broken.holds()
    assert "rose 3 times" in broken.sentence()
    assert broken.to_dict()["violations"] == [3]
