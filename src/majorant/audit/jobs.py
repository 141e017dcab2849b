"""What an audit computes: patches of one cap, solved at some levels, in chunks that can be resumed.

The first job is the audit itself. The others ask what would change: with half, twice and four times
the electrodes, or with two and four times the trials. They see the same patches with the same noise
at each electrode.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from majorant.audit.cap import Cap
from majorant.audit.judge import METRICS, judge
from majorant.audit.settings import AuditSettings
from majorant.audit.solvers import imager
from majorant.audit.trials import AuditTrials
from majorant.errors import DamagedFile
from majorant.files.archive import read_archive, write_archive

__all__ = ["AuditJob", "foreseen", "plan_jobs", "run_jobs"]

CHUNK = 40
SHARE, LEAST = 4, 60
"""A comparison takes a quarter of the patches, at least 60."""
KIND, VERSION = "audit chunk", 1
TRIALS = (2, 4)
TRIED = 8
"""Patches whose estimates are timed to say how long it will take."""


@dataclass(frozen=True)
class AuditJob:
    """One cap at some levels.

    Attributes
    ----------
    key : str
        Name in files.
    electrodes : int
    trials : int
        How many times as many.
    levels : tuple of float
        dB.
    n : int
        Patches, the first ones.
    """

    key: str
    electrodes: int
    trials: int
    levels: tuple[float, ...]
    n: int


def plan_jobs(settings: AuditSettings, cap: Cap) -> tuple[AuditJob, ...]:
    """List the jobs, the audit itself first."""
    levels, n = settings.snr_levels, settings.n
    planning = levels[settings.planning]
    fewer = min(n, max(n // SHARE, LEAST))
    more = [
        AuditJob(f"trials-{k}", cap.n, k, (planning + 10.0 * math.log10(k),), fewer) for k in TRIALS
    ]
    other = [AuditJob(f"electrodes-{size}", size, 1, (planning,), fewer) for size in cap.sizes()]
    return (AuditJob("audit", cap.n, 1, levels, n), *other, *more)


def run_jobs(
    jobs: Sequence[AuditJob],
    solvers: Sequence[str],
    data: AuditTrials,
    cap: Cap,
    folder: Path,
    move: Callable[[int, int], None],
    told: Callable[[AuditJob, Mapping[str, NDArray[np.float64]]], None] | None = None,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Compute what is not in the folder yet.

    Parameters
    ----------
    jobs : sequence of AuditJob
    solvers : sequence of str
    data : AuditTrials
        Of the whole cap.
    cap : Cap
    folder : Path
        Holds the chunks; each is written whole or not at all.
    move : callable
        Called with (estimates done, estimates in all).
    told : callable, optional
        Called with every job that is done, and its scores by solver.

    Returns
    -------
    dict
        By job and solver: array of shape (n_levels, n_patches, 3), see
        :data:`majorant.audit.judge.METRICS`.
    """
    total = len(solvers) * sum(job.n * len(job.levels) for job in jobs)
    done, found = 0, {}
    for job in jobs:
        trials = replace(data, rows=tuple(cap.rows(job.electrodes)))
        found[job.key] = {}
        for name in solvers:
            make = imager(name, trials)
            parts = []
            for start in range(0, job.n, CHUNK):
                index = np.arange(start, min(start + CHUNK, job.n))
                path = _place(folder, job, name, start)
                parts.append(_chunk(path, index, job, make, data))
                done += len(index) * len(job.levels)
                move(done, total)
            found[job.key][name] = np.concatenate(parts, axis=1)
        if told is not None:
            told(job, found[job.key])
    return found


def foreseen(
    jobs: Sequence[AuditJob], solvers: Sequence[str], data: AuditTrials, folder: Path
) -> float:
    """Estimate how many seconds the jobs will take, by a few patches of every solver.

    Chunks that are in the folder count nothing, and nothing is kept. Takes a few estimates of each
    solver itself.

    Parameters
    ----------
    jobs, solvers, data, folder
        As of :func:`run_jobs`.
    """
    total = 0.0
    for name in solvers:
        left = sum(
            (min(start + CHUNK, job.n) - start) * len(job.levels)
            for job in jobs
            for start in range(0, job.n, CHUNK)
            if not _place(folder, job, name, start).is_file()
        )
        if left:
            total += left * _pace(imager(name, data), min(TRIED, jobs[0].n), jobs[0].levels)
    return total


def _pace(
    make: Callable[[torch.Tensor, float], torch.Tensor], n: int, levels: Sequence[float]
) -> float:
    """Seconds of an estimate, the first of which is not counted: it builds what is kept."""
    level = levels[len(levels) // 2]
    make(torch.arange(1), level)
    began = time.perf_counter()
    make(torch.arange(n), level)
    return (time.perf_counter() - began) / n


def _place(folder: Path, job: AuditJob, solver: str, start: int) -> Path:
    return folder / f"{job.key}.{solver}.{start:05d}.safetensors"


def _chunk(
    path: Path,
    index: NDArray[np.int64],
    job: AuditJob,
    make: Callable[[torch.Tensor, float], torch.Tensor],
    data: AuditTrials,
) -> NDArray[np.float64]:
    """Read a chunk, or compute it and write it; a damaged one is computed anew."""
    with suppress(FileNotFoundError, DamagedFile):
        kept = read_archive(path, kind=KIND, version=VERSION)[0].get("scores")
        if kept is not None and kept.shape == (len(job.levels), len(index), len(METRICS)):
            return kept.numpy()
    chosen = torch.from_numpy(index)
    scores = np.stack(
        [judge(data.head, data.patches, index, make(chosen, level)) for level in job.levels]
    )
    write_archive(path, {"scores": torch.from_numpy(scores)}, {}, kind=KIND, version=VERSION)
    return scores
