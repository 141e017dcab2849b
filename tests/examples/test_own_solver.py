"""The example of a solver in one file registers, passes the contract, and solves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from majorant.errors import MajorantError
from majorant.registry import SOLVERS, SolverSpec, register

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_solver.py"


def test_a_solver_in_one_file_passes_and_runs() -> None:
    command = [sys.executable, str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Backprojection passes." in done.stdout
    assert "the normal equations hold" in done.stdout


def test_a_name_is_given_once_and_spelled_as_the_others() -> None:
    taken = SolverSpec("mne", "a:B", "A", "Does.", "None.", "None")
    loud = SolverSpec("My_Solver", "a:B", "A", "Does.", "None.", "None")
    for solver in (taken, loud):
        with pytest.raises(MajorantError):
            register(solver)
    assert register(SOLVERS["mne"]) is SOLVERS["mne"]
    assert "My_Solver" not in SOLVERS
