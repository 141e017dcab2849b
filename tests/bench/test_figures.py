"""The figures of the paper: curves and their parts, maps and their errors, whole files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from majorant.bench.figures import Curve, convergence, maps, run_figures
from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.simulate.dataset import SereegaLike


@pytest.fixture(scope="module")
def data(template: Leadfield) -> SereegaLike:
    return SereegaLike(template, 2, part="test")


def test_the_parts_of_every_curve_add_up_and_the_guarded_one_falls(data: SereegaLike) -> None:
    curves = {each.name: each for each in convergence(data)}
    assert {"MM-Net", "MM-Net, guard off", "classical MM", "gradient descent"} <= set(curves)
    for each in curves.values():
        mean = {name: values[:, 0] for name, values in each.parts.items()}
        torch.testing.assert_close(mean["energy"], mean["fidelity"] + mean["prior"])
        assert each.iteration[0] == 0
        assert each.iteration[-1] == curves["MM-Net"].iteration[-1]
        assert all(len(values) == len(each.iteration) for values in each.parts.values())
    guarded = curves["MM-Net"]
    assert guarded.violations == curves["classical MM"].violations == 0
    assert _falls(guarded)
    assert guarded.parts["energy"][-1, 0] < curves["classical MM"].parts["energy"][-1, 0]
    assert guarded.iteration[1] == 2 * curves["MM-Net, guard off"].iteration[1]


def _falls(curve: Curve) -> bool:
    return bool((curve.parts["energy"][:, 0].diff() <= 0).all())


def test_maps_are_shares_and_the_truth_is_where_it_is(data: SereegaLike) -> None:
    pictures = list(maps(data))
    assert [p.method for p in pictures[:4]] == ["truth", "truth", "mne", "mne"]
    for each in pictures:
        assert float(each.values.max()) == 1.0
        assert float(each.values.min()) >= 0.0
        if each.method == "truth":
            assert int(each.values.argmax()) == each.seed
            assert each.error_mm == 0.0


def test_figures_are_written_with_the_command_that_makes_them(tmp_path: Path) -> None:
    written = run_figures("maps", 1, out=tmp_path / "new", say=lambda line: None)
    assert [path.name for path in written] == ["maps.png", "maps.csv"]
    assert written[0].read_bytes()[:4] == b"\x89PNG"
    first, *rows = written[1].read_text().splitlines()
    assert first == "# majorant bench figures --figure maps --n 1 --seed 333"
    table = list(csv.DictReader(rows))
    assert {row["method"] for row in table} >= {"truth", "mne", "sloreta", "mm-net"}
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_what_cannot_be_drawn_or_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MajorantError, match="choose one of convergence, maps, all"):
        run_figures("both", out=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(MajorantError, match="cannot be a folder"):
        run_figures("maps", out=tmp_path / "file")
