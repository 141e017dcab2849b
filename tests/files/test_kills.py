"""A few of the kills of `benchmarks/kills.py`: one job, forked, killed, looked at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="runs are forked")
def test_collections_survive_a_few_kills() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.kills", "simulate", "--kills", "6"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "6 kills" in done.stdout
    assert "nothing left over" in done.stdout
