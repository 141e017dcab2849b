"""The everyday bench: its cells, its tables, and that a run that was stopped goes on."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from majorant import registry
from majorant.bench import everyday, everyday_doors, everyday_plot
from majorant.bench.everyday import TablePiece, TablePlan, Worker, run_everyday
from majorant.bench.everyday_plot import draw
from majorant.bench.everyday_rows import (
    FIGURES,
    also_rows,
    as_csv,
    as_markdown,
    heat,
    paired_rows,
    regret_rows,
    rows,
    worst_first,
)
from majorant.bench.everyday_set import CELLS, QUICK, TestSet, to_regions
from majorant.errors import MajorantError
from majorant.metrics.everyday import NAMES, FineMesh

GOOD, BAD = "scan", "sloreta"


def _samples(error: float, n: int, seed: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    tallies = {"rises": 0, "refused": 2}
    return [
        {name: error * 10 + float(rng.uniform()) for name in (*NAMES, "ms")} | tallies
        for _ in range(n)
    ]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[TablePiece]:
    """Work that takes no time, and a list of what was done."""
    done: list[TablePiece] = []

    def work(self: Worker, piece: TablePiece) -> dict[str, Any]:
        done.append(piece)
        n = self.test.share(piece.site)
        error = {GOOD: 1.0, BAD: 2.0}.get(piece.solver, 3.0)
        seed = CELLS.index(piece.cell)
        site, cell, name = piece.key
        return {"site": site, "cell": cell, "solver": name, "scores": _samples(error, n, seed)}

    monkeypatch.setattr(Worker, "work", work)
    monkeypatch.setattr(everyday_plot, "draw", lambda rows, command: command.encode())
    return done


def test_the_factors_are_crossed_and_the_families_stand_beside_them() -> None:
    assert len(CELLS) == len({cell.name for cell in CELLS}) == 3 * 2 * 2 * 2 * 2 + 4
    assert len(QUICK) == 12
    families = [cell for cell in CELLS if cell.family]
    assert [cell.settings.n_times for cell in families] == [(75,)] * 4
    assert all(cell.settings.on_regions for cell in families)


@pytest.mark.parametrize(("n", "sites"), [(100, 4), (7, 3), (2, 4)])
def test_samples_are_spread_over_sites_without_loss(n: int, sites: int) -> None:
    test = TestSet(1, n, sites)
    for cell in (CELLS[0], CELLS[-1]):
        mine = [site for site in test.sites(CELLS) if cell in test.at(site, CELLS)]
        assert sum(map(test.share, mine)) == n
        assert min(map(test.share, mine)) >= 1


def test_rows_have_the_keys_that_are_promised(fake: list[TablePiece], tmp_path: Path) -> None:
    found = run_everyday(TablePlan(3, quick=True), [GOOD, BAD], tmp_path)
    keys = ["cell", "solver", "n"]
    for name in ("EMD", "off", "AUC", "LE", "found", "ghosts", "ms"):
        keys += [name, f"{name}_ci"]
    keys += ["rises", "refused"]
    assert [list(row) for row in found["rows"]] == [keys] * 24
    assert all((row["rises"], row["refused"]) == (0, 2 * 3) for row in found["rows"])
    assert found == json.loads((tmp_path / "everyday.json").read_text())
    for row in found["rows"]:
        assert row["EMD_ci"][0] <= row["EMD"] <= row["EMD_ci"][1]
    command = "majorant bench everyday --n 3 --seed 2027 --sites 4 --quick --solvers scan,sloreta"
    assert (tmp_path / "everyday.png").read_text() == found["command"] == command
    assert (tmp_path / "everyday.csv").read_text().count("\n") == 25


def test_a_run_that_was_stopped_goes_on(fake: list[TablePiece], tmp_path: Path) -> None:
    whole = run_everyday(TablePlan(2, quick=True), [GOOD, BAD], tmp_path / "whole")
    fake.clear()
    run_everyday(TablePlan(2, quick=True), [GOOD], tmp_path / "part")
    path = tmp_path / "part" / everyday.PARTS
    path.write_text(path.read_text()[:-40])
    assert len(fake) == 12
    again = run_everyday(TablePlan(2, quick=True), [GOOD, BAD], tmp_path / "part")
    assert len(fake) == 12 + 1 + 12
    assert again["rows"] == whole["rows"]
    with pytest.raises(MajorantError, match="another run"):
        run_everyday(TablePlan(3, quick=True), [GOOD], tmp_path / "part")


def test_progress_says_the_time_left(fake: list[TablePiece], tmp_path: Path) -> None:
    heard: list[str] = []
    run_everyday(TablePlan(1, quick=True), [GOOD], tmp_path, say=heard.append)
    assert heard[-1].startswith("12 of 12 pieces, about 0 s left")


def test_differences_are_paired_and_regret_is_to_the_best() -> None:
    scores = {("a", s): _samples(e, 50, 1) for s, e in ((GOOD, 1.0), (BAD, 2.0))}
    (row,) = paired_rows(scores, BAD)
    assert row["solver"] == GOOD
    # The same draws underlie both, so the difference has no spread at all.
    assert row["EMD"] == pytest.approx(-10.0)
    assert row["EMD_ci"] == pytest.approx([-10.0, -10.0])
    assert row["AUC"] == pytest.approx(-1000.0)
    best, other = regret_rows(rows(scores))
    assert (best["solver"], best["EMD regret"]) == (GOOD, 1.0)
    assert other["EMD worst"] == pytest.approx(20.5 / 10.5, rel=0.05)


def test_the_worst_cell_of_the_solver_in_question_comes_first() -> None:
    scores = {
        **{("near", s): _samples(e, 5, 1) for s, e in ((GOOD, 1.0), (BAD, 1.1))},
        **{("far", s): _samples(e, 5, 1) for s, e in ((GOOD, 1.0), (BAD, 3.0))},
    }
    found = rows(scores)
    assert worst_first(found, BAD) == ["far", "near"]
    text = as_markdown(found, also_rows(scores), BAD, "majorant bench everyday")
    assert text.index("### far") < text.index("### near")
    cells, solvers, regret = heat(found)
    assert (cells, solvers) == (["near", "far"], [GOOD, BAD])
    assert regret.min() == 1.0
    assert draw(found, "majorant bench everyday").startswith(b"\x89PNG")
    assert as_csv(found).splitlines()[0].startswith("cell,solver,n,EMD,EMD_ci_low,EMD_ci_high")
    assert list(FIGURES) == ["EMD", "off", "AUC", "LE", "found", "ghosts", "ms"]


def test_samples_judged_without_tallies_have_none() -> None:
    old = [{k: v for k, v in one.items() if k != "refused"} for one in _samples(1.0, 3, 0)]
    (row,) = rows({("cell", GOOD): old})
    assert row["rises"] is None
    assert row["refused"] is None
    also = also_rows({("cell", GOOD): old})
    assert "| - | - |" in as_markdown([row], also, GOOD, "command")


def test_an_image_says_what_its_certificate_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = SimpleNamespace(violations=torch.tensor([0]), refused=torch.tensor([3]))
    made = object.__new__(everyday_doors.SolverDoor)
    made.imager = SimpleNamespace(certificate_=kept)  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(
        everyday_doors.SolverDoor, "__call__", lambda self, evoked: np.zeros((1, 1))
    )
    image = made.image(None)
    assert (image.rises, image.refused) == (0, 3)


def test_every_solver_of_the_registry_is_run_and_nonsense_is_refused() -> None:
    assert set(everyday_doors.known(None)) == {*registry.SOLVERS, *everyday_doors.REFERENCES}
    with pytest.raises(MajorantError, match="sloreta"):
        everyday_doors.known(["sloretta"])


def test_dipoles_are_fitted_where_there_is_one_source(
    fake: list[TablePiece], tmp_path: Path
) -> None:
    run_everyday(TablePlan(1, quick=True), ["dipole-fit"], tmp_path)
    assert {piece.cell.count for piece in fake} == {1}


def test_estimates_are_averaged_over_regions() -> None:
    mesh = FineMesh(np.zeros((6, 3)), np.array([0, 0, 0, 1, 1, -1]))
    home = np.array([0, 1, 1, 1, 2, 2])
    values = np.array([[3.0, 0.0], [6.0, 1.0], [0.0, 9.0]])
    np.testing.assert_allclose(to_regions(values, home, mesh), [[5.0, 2 / 3], [3.0, 5.0]])
