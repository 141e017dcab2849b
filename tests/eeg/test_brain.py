"""`stc.plot` with MNE's 3-D backend, where VTK, Qt and a display that nobody sees are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

WANTED = ("vtkmodules", "pyvista", "pyvistaqt", "qtpy")

CODE = """
import sys
import mne
import numpy as np
from majorant.datasets import fsaverage
from majorant.forward.template import template_surfaces

mne.viz.set_3d_backend("pyvistaqt")
front = template_surfaces().white[:, :2562, 1] > 0
values = np.concatenate(front).astype(float)[:, None]
stc = mne.SourceEstimate(values, [np.arange(2562)] * 2, 0, 1, subject="fsaverage")
brain = stc.plot(
    subjects_dir=fsaverage(), hemi="lh", surface="inflated", backend="pyvistaqt", size=300,
    time_viewer=False, show_traces=False, colorbar=False, time_label=None, background="white",
    clim=dict(kind="value", lims=[0.1, 0.9, 3.0]), smoothing_steps=3, verbose="error",
)
brain.show()
brain.plotter.app.processEvents()
brain.plotter.render()
shot = brain.screenshot().astype(int)
brain.close()
coloured = np.ptp(shot, axis=2) > 60
drawn = (shot.max(axis=2) < 240).mean()
middle = coloured.shape[1] // 2
print(drawn, coloured[:, :middle].mean(), coloured[:, middle:].mean())
"""


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A display: the one there is, or a virtual one."""
    there = os.environ.get("DISPLAY")
    if there:
        yield there
        return
    if shutil.which("Xvfb") is None:
        pytest.skip("there is neither a display nor Xvfb")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with os.fdopen(reading) as said:
            number = said.readline().strip()
        yield f":{number}"
        server.terminate()


@pytest.mark.skipif(
    any(find_spec(name) is None for name in WANTED), reason=f"needs {', '.join(WANTED)}"
)
def test_an_estimate_is_drawn_in_three_dimensions(display: str, tmp_path: Path) -> None:
    # In a process of its own: a driver that fails takes its process with it.
    done = subprocess.run(
        [sys.executable, "-c", CODE], env={**os.environ, "DISPLAY": display}, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    drawn, front, back = map(float, done.stdout.split()[-3:])
    # The left hemisphere from outside: the front is on the left.
    assert drawn > 0.2
    assert front > 0.15
    assert back < 0.3 * front
