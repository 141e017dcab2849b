"""A node with torch, numpy, scipy and safetensors alone can train and make the table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BLOCKED = ("mne", "nilearn", "matplotlib", "rich", "typer", "ot", "numba")

CODE = """
import sys
from dataclasses import replace
from pathlib import Path


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Absent())
from majorant.bench.table1 import TableData, run
from majorant.forward.leadfield import Leadfield
from majorant.training.fit import Trainer
from majorant.training.presets import preset

rows = run("sereega", ["mne", "sloreta", "mm-net", "limit"], TableData(4), show=False)
assert [row.method for row in rows] == ["mne", "sloreta", "mm-net", "mm-net", "limit"]
recipe = replace(preset("tiny"), n_train=32, n_validation=4, validate_every=2, save_every=2)
outcome = Trainer(recipe, Leadfield.template_small(), Path(sys.argv[1])).run()
print(outcome.step)
"""


def test_training_and_the_table_need_torch_numpy_scipy_and_safetensors_alone(
    tmp_path: Path,
) -> None:
    code = CODE.replace("BLOCKED", repr(BLOCKED))
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "2"
    assert (tmp_path / "run" / "best.safetensors").is_file()
    assert not (tmp_path / "run" / "curves.png").exists()
