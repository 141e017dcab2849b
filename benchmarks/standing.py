"""How often a headline names a source where there is one, and where there is noise alone.

    python -m benchmarks.standing                        # the solvers of the table
    python -m benchmarks.standing --n 8 auto sloreta     # more samples, some solvers

Everyday recordings of the test part (far heads, 32 electrodes, one and three sources from single
vertices to 35 mm, half a second) go through ``image`` with the covariance of their baseline, and so
does noise of that covariance alone. A headline may name a source if something stands out from
noise and nothing plainer explains it. What is refused for another reason is counted apart: it lies
at the edge of the window, or is a shadow.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import mne
import numpy as np
import torch

from majorant.bench.everyday import TablePlan, Worker
from majorant.bench.everyday_set import pairs
from majorant.imaging.image import image
from majorant.imaging.result import ImageSettings
from majorant.recording.file import load_recording
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation

SEED = 9107
SOLVERS = ("auto", "sloreta", "champagne", "unfolded-sbl", "mean")
NOISE = "noise alone"


def verdict(evoked: Any, noise_cov: Any, solver: str, folder: Path) -> str:
    """What the page says of a recording: "a source", "none stands out" or "something plainer"."""
    place, cov = folder / "x-ave.fif", folder / "x-cov.fif"
    evoked.save(place, overwrite=True, verbose="error")
    noise_cov.save(cov, overwrite=True, verbose="error")
    prepared = prepare(load_recording(place), Preparation(noise_cov=str(cov)))
    content = image(prepared, ImageSettings(solver)).content
    if content.leading is not None:
        return "a source"
    reasons = content.doubts or ("",) * len(content.peaks)
    quiet = content.faint or all("stand out" in reason for reason in reasons)
    return "none stands out" if quiet else "something plainer"


def silent(evoked: Any, noise_cov: Any, rng: np.random.Generator) -> Any:
    """The recording with noise of its covariance in place of its data."""
    root = np.linalg.cholesky(
        noise_cov.data
        + 1e-6 * noise_cov.data.trace() * np.eye(len(evoked.ch_names)) / len(evoked.ch_names)
    )
    made = evoked.copy()
    made.data = root @ rng.standard_normal(evoked.data.shape)
    return made


def main() -> None:
    """Image, count, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("solvers", nargs="*", help=f"default: {', '.join(SOLVERS)}")
    parser.add_argument("--n", type=int, default=4, help="samples of each of the 12 cells")
    asked = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    mne.set_log_level("error")
    plan = TablePlan(asked.n, SEED, quick=True, sites=1, part="test")
    worker, rng = Worker(plan), np.random.default_rng(SEED)
    cases: list[tuple[str, Any, Any]] = []
    for site, cell in pairs(plan.test, plan.cells):
        if cell.family:
            continue
        made = worker.recorded(site, cell)
        level = cell.name.rpartition(", ")[2]
        for evoked in made.evoked:
            cases.append((level, evoked, made.noise_cov))
            cases.append((NOISE, silent(evoked, made.noise_cov, rng), made.noise_cov))
    levels = sorted({level for level, _, _ in cases}, key=lambda name: (name == NOISE, name))
    print("| solver | data | n | a source is named | none stands out | something plainer |")
    print("|---|---|---|---|---|---|", flush=True)
    for solver in asked.solvers or SOLVERS:
        said: dict[str, list[str]] = defaultdict(list)
        with tempfile.TemporaryDirectory() as folder:
            for level, evoked, noise_cov in cases:
                said[level].append(verdict(evoked, noise_cov, solver, Path(folder)))
        for level in levels:
            own = said[level]
            shares = (
                f"{sum(one == word for one in own) / len(own):.2f}"
                for word in ("a source", "none stands out", "something plainer")
            )
            print(f"| {solver} | {level} | {len(own)} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
