"""The benchopt benchmark, run by benchopt itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from majorant import registry

ROOT = Path(__file__).parents[2]
HOME = ROOT / "benchmarks" / "benchopt"


def test_benchopt_runs_it_and_our_sloreta_is_mnes(tmp_path: Path) -> None:
    pytest.importorskip("benchopt", reason="pip install 'majorant[benchopt]'")
    pandas = pytest.importorskip("pandas")
    copy = tmp_path / "source_imaging"
    shutil.copytree(HOME, copy, ignore=shutil.ignore_patterns("outputs", "__cache__"))
    command = [sys.executable, "-m", "benchopt", "run", str(copy), "--no-plot", "--no-html"]
    command += ["-r", "1", "-d", "invertmeeg[recipe=focal,n=1]"]
    for solver in ("sloreta", "mne-sloreta"):
        command += ["-s", solver]
    place = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "BENCHOPT_DEBUG": "0"}
    ran = subprocess.run(command, env=place, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (result,) = (copy / "outputs").glob("*.parquet")
    table = pandas.read_parquet(result).set_index("solver_name")
    assert set(table.index) == {"sloreta", "mne-sloreta"}
    ours, theirs = table.objective_value["sloreta"], table.objective_value["mne-sloreta"]
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert 0 < ours < 150


@pytest.mark.parametrize("path", sorted((HOME / "solvers").glob("*.py")), ids=lambda p: p.stem)
def test_every_solver_is_one_small_file_named_as_it_is_known(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) < 20
    (name,) = (line.split('"')[1] for line in lines if line.strip().startswith("name ="))
    assert name == path.stem.replace("_", "-")
    assert name in registry.SOLVERS or name.removeprefix("mne-") in ("mne", *registry.SOLVERS)
