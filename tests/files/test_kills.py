"""The trial of `benchmarks/kills.py` on a small job: killed, looked at, and it can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import random, sys, time
from pathlib import Path
from benchmarks.kills import Job, trial
from majorant.files import write

out = Path(sys.argv[1]) / "out"
whole = sys.argv[2] == "whole"

def made(word):
    def run():
        with write.beside(out) as room:
            for k in range(20):
                (room / str(k)).write_text(word)
                time.sleep(0.001)
            if whole:
                write.exchange(room, out)
            else:
                out.mkdir(exist_ok=True)
                for path in room.iterdir():
                    path.replace(out / path.name)
                    time.sleep(0.002)
    return run

def state():
    said = {path.read_text() for path in out.iterdir()}
    return said.pop() if len(said) == 1 and len(list(out.iterdir())) == 20 else "a mixture"

job = Job("small", out, made("old"), made("new"), lambda: write.sweep(out.parent), state)
trial(job, 20, random.Random(0))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked")
@pytest.mark.parametrize("way", ["whole", "file by file"])
def test_a_folder_that_is_exchanged_survives_kills_and_one_that_is_filled_does_not(
    tmp_path: Path, way: str
) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path), way]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if way == "whole":
        assert done.returncode == 0, done.stderr[-2000:]
        assert "20 kills" in done.stdout
    else:
        assert "a mixture" in done.stderr
