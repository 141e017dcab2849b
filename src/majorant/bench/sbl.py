"""Figures of the unfolded sparse Bayesian paper, redrawn: what is learned, and what is not.

Every figure is a table of points first, written as CSV beside its PNG, with the command that made
it in the first line. Data come from a head, a mesh and a skull that no solver knows
(:mod:`majorant.head.sparse`).
"""

from __future__ import annotations

import csv
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from majorant.bench.sbl_figures import DRAWN
from majorant.bench.sbl_meg import meg_heads
from majorant.bench.sbl_methods import LARGER, MODES, best_steps
from majorant.bench.sbl_points import Point, SparseBench
from majorant.extras import needed
from majorant.forward.leadfield import Leadfield
from majorant.head import sparse as sbl_heads
from majorant.learned.unfolded import Mode
from majorant.metrics.transport import SparseJudge
from majorant.networks.corrections import Corrections
from majorant.problem import MajorantError
from majorant.randomness import takes_rng
from majorant.simulate.sparse import SparseLike, SparseSettings
from majorant.weights.sbl import load_unfolded, shipped_unfolded

FIGURES = tuple(DRAWN)
VALIDATION = 16


@takes_rng
def run_sbl(
    figure: str = "all",
    n: int = 40,
    *,
    out: str | os.PathLike[str] = "out/sbl",
    weights: Mapping[Mode, str | os.PathLike[str]] | None = None,
    seed: int = 777,
    slow: bool = False,
    heads: tuple[Leadfield, Leadfield] | None = None,
    say: Callable[[str], None] = print,
) -> list[Point]:
    """Draw figures of the sparse Bayesian benchmark.

    Parameters
    ----------
    figure : {"2", "3", "4", "5", "7", "8", "all"}
    n : int
        Samples of every point.
    out : path
        Folder for ``figure-N.png`` and ``figure-N.csv``.
    weights : mapping of mode to path, optional
        Networks of one's own; the packaged ones by default.
    seed : int
        Of the test data.
    slow : bool
        Whether to run MNE-Python's MxNE and gamma map, too; figure 3 only.
    heads : (inverting, generating) lead fields, optional
        :func:`majorant.head.sparse.test_head` by default. Any arrays will do, MEG as well.
    say : callable
        Takes a line of text for every step.

    Returns
    -------
    list of Point

    Raises
    ------
    MajorantError
        If the figure is unknown, nothing can be written, or POT is not installed.
    """
    needed("ot")
    if figure not in (*FIGURES, "all") or n < 2:
        raise MajorantError(
            f"figure {figure!r} with {n} samples was asked for; choose one of "
            f"{', '.join(FIGURES)}, all, and at least 2 samples"
        )
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MajorantError(f"{folder} cannot be made ({error.strerror})") from error
    bench = prepare(n, weights=weights, seed=seed, slow=slow, heads=heads, say=say)
    wanted = FIGURES if figure == "all" else (figure,)
    asked = ["--figure", figure, "--n", str(n), "--seed", str(seed)]
    command = shlex.join(["majorant", "bench", "sbl", *asked, *(["--slow"] if slow else [])])
    points: list[Point] = []
    for name in wanted:
        say(f"Figure {name}")
        made = DRAWN[name](bench)
        write_csv(folder / f"figure-{name}.csv", made, command)
        _plot(name, made, bench, folder / f"figure-{name}.png", command)
        points += made
    return points


@takes_rng
def prepare(
    n: int,
    *,
    weights: Mapping[Mode, str | os.PathLike[str]] | None = None,
    seed: int = 777,
    slow: bool = False,
    heads: tuple[Leadfield, Leadfield] | None = None,
    settings: SparseSettings | None = None,
    say: Callable[[str], None] = print,
) -> SparseBench:
    """Build the test head, load the networks, and choose the steps of the best classical run."""
    inverting, generating = heads or sbl_heads.test_head()
    networks: dict[str, Corrections] = {
        mode: load_unfolded(None if weights is None else weights[mode], mode)[0]
        for mode in MODES
        if (shipped_unfolded(mode).exists() if weights is None else mode in weights)
    }
    for name in LARGER if weights is None else ():
        if shipped_unfolded("gated", name).exists():
            networks[name] = load_unfolded(None, "gated", name)[0]
    data = SparseLike(
        inverting, seed, part="test", settings=settings or SparseSettings(), generating=generating
    )
    judge = SparseJudge(inverting, generating)
    held_out = replace(data, part="validation", space=data.space)
    best = best_steps(held_out, judge, min(n, VALIDATION))
    layers = max((net.depth for net in networks.values()), default=10)
    say(f"Convex bounding is at its best on validation samples after {best} steps.")
    meg = meg_heads() if heads is None else None
    return SparseBench(data, judge, networks, layers, best, n, slow, say, meg)


def write_csv(path: Path, points: Sequence[Point], command: str) -> None:
    """Write points, the command first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# {command}\n")
        writer = csv.DictWriter(file, fieldnames=list(Point.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(point) for point in points)


def _plot(name: str, points: Sequence[Point], bench: SparseBench, path: Path, command: str) -> None:
    from majorant.bench import sbl_plots

    sbl_plots.draw(name, points, bench, path, command)
