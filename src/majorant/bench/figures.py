"""Figures of the MM-Net paper, redrawn: how solvers converge, and what they show on the cortex.

    majorant bench figures --figure convergence
    majorant bench figures --figure maps

Every figure is a table of points first, written as CSV beside its PNG with the command that made
both in its first line. Learned methods are those with packaged weights.
"""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from majorant import registry
from majorant.bench.descent import GradientDescent
from majorant.bench.figure_plots import Curve, Picture
from majorant.bench.methods import OPTIONS
from majorant.bench.table1 import TESTS
from majorant.energies.cosine import CosineEnergy
from majorant.files.write import write_file
from majorant.forward.leadfield import Leadfield
from majorant.learned.families import FAMILIES
from majorant.learned.mmnet import MMNet
from majorant.majorants.guard import Guard
from majorant.metrics.localisation import Localisation
from majorant.problem import MajorantError, Problem
from majorant.randomness import takes_rng
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.base import IterativeSolver, Solver
from majorant.solvers.loop import solve
from majorant.solvers.mm import ClassicalMM, SameAs
from majorant.weights.shipped import domains, trained

FIGURES = ("convergence", "maps")
LEARNED = ("mm-net", "r-mm-net", "4dvarnet", "meta-curvature", "modgrad")
MAPS = ("mne", "sloreta", *LEARNED[::-1])
FREE = Guard("off", window=1)
BEYOND = 3
"""Convergence is shown for this many times the iterations of the training."""
ROWS = 3
"""Test samples whose maps are drawn, at most."""


@takes_rng
def run_figures(
    figure: str = "all",
    n: int = 50,
    *,
    out: str | os.PathLike[str] = "out/figures",
    seed: int = 333,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Draw figures and write them with their points.

    Parameters
    ----------
    figure : {"convergence", "maps", "all"}
    n : int
        Test samples of the convergence; the maps show the first three of them.
    out : path
        Folder, made if need be.
    seed : int
        Of the test data, SEREEGA type.
    say : callable
        Takes a line of text for every step.

    Returns
    -------
    list of Path
        PNG and CSV of every figure.

    Raises
    ------
    MajorantError
        If the figure is unknown, or nothing can be written.
    """
    if figure not in (*FIGURES, "all") or n < 1:
        raise MajorantError(
            f"figure {figure!r} with {n} samples was asked for; choose one of "
            f"{', '.join((*FIGURES, 'all'))}, with 1 or more"
        )
    folder = _folder(Path(out))
    from majorant.bench import figure_plots as plots

    head, written = Leadfield.template_small(), list[Path]()
    for name in FIGURES if figure == "all" else (figure,):
        command = shlex.join(
            ["majorant", "bench", "figures", "--figure", name, "--n", str(n), "--seed", str(seed)]
        )
        data = SereegaLike(head, n, seed, part="test")
        if name == "convergence":
            curves = list(convergence(data, say=say))
            length, drawn = trained("mm-net").max_iter, plots.draw_convergence
            pictures = drawn(curves, length, command)
            rows: list[dict[str, Any]] = _curve_rows(curves)
        else:
            shown = list(maps(data, say=say))
            pictures = plots.draw_maps(shown, head, command)
            rows = _map_rows(shown)
        text = f"# {command}\n{_csv(rows)}"
        written += _write(folder, name, pictures, text)
    return written


def convergence(
    data: SereegaLike, *, say: Callable[[str], None] = lambda line: None
) -> Iterator[Curve]:
    """Yield how each solver's own energy falls, three times as far as it was trained for.

    MM-Net with its guard and without; the other learned methods; classical MM and gradient descent
    on the energy of MM-Net, from its start.

    Parameters
    ----------
    data : SereegaLike
    say : callable
        Takes a line of text for every solver.
    """
    problem = data.problem(data.batch(range(len(data))))
    base = trained("mm-net", sfreq=data.sfreq)
    steps, same = BEYOND * base.max_iter, SameAs(base, "gram")
    solvers: dict[str, IterativeSolver[Any]] = {
        "MM-Net": base,
        "MM-Net, guard off": base.changed(guard=FREE),
    }
    for name in LEARNED[1:]:
        if TESTS[0] in domains(name):
            solvers[FAMILIES[name].title] = trained(name, sfreq=data.sfreq)
    solvers["classical MM"] = ClassicalMM(same, tolerance=-1.0)
    solvers["gradient descent"] = GradientDescent(same, tolerance=-1.0)
    for title, solver in solvers.items():
        say(f"{title}: {steps} iterations of {len(data)} samples")
        yield curve(title, problem, solver, steps)


def curve(title: str, problem: Problem, solver: IterativeSolver[Any], steps: int) -> Curve:
    """Solve, keep every accepted iterate, and take its energy apart.

    Parameters
    ----------
    title : str
    problem : Problem
    solver : IterativeSolver
        Of the cosine energy.
    steps : int
    """
    with torch.no_grad():
        solution = solve(problem, solver, max_iter=steps, keep_trace=True)
        energy = solver.majorant(problem).energy
        if not isinstance(energy, CosineEnergy):
            raise MajorantError(f"{title} minimises the {energy.name}, which has no such parts")
        points = [energy.evaluate(state.x) for state in solution.trace]
    level = torch.tensor([0.25, 0.75], dtype=torch.float64)
    parts = {}
    for name in ("energy", "fidelity", "prior"):
        values = torch.stack([getattr(point, name) for point in points])
        quartiles = torch.quantile(values, level, dim=1)
        parts[name] = torch.stack([values.mean(1), *quartiles], dim=1)
    window = 1 if solution.certificate.guard == "off" else solver.guard.window
    iteration = tuple(min(i * window, steps) for i in range(len(points)))
    return Curve(title, iteration, parts, int(solution.certificate.violations.sum()))


def maps(data: SereegaLike, *, say: Callable[[str], None] = lambda line: None) -> Iterator[Picture]:
    """Yield the truth and every method's map of the first samples, at the true peak.

    Parameters
    ----------
    data : SereegaLike
    say : callable
        Takes a line of text for every method.
    """
    batch = data.batch(range(min(ROWS, len(data))))
    judge = Localisation(data.leadfield, data.sfreq)
    peak = batch.x[torch.arange(len(batch)), batch.seed].abs().argmax(1)
    found: dict[str, Tensor] = {"truth": batch.x}
    for name in MAPS:
        if name not in FAMILIES or TESTS[0] in domains(name):
            say(f"{name}: {len(batch)} samples")
            with torch.no_grad():
                found[name] = solve(data.problem(batch), _solver(name, data.sfreq)).estimate
    for name, x in found.items():
        errors = judge.score(batch.x, x.to(batch.x.dtype), batch.seed).le
        for i in range(len(batch)):
            values = x[i, :, peak[i]].abs().double()
            values = values / values.max().clamp_min(torch.finfo(values.dtype).tiny)
            yield Picture(name, i, values, int(batch.seed[i]), float(errors[i]))


def _solver(name: str, sfreq: float) -> MMNet | Solver:
    if name in FAMILIES:
        return trained(name, sfreq=sfreq)
    return registry.make(name, **OPTIONS.get(name, MappingProxyType({})))


def _curve_rows(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    rows = []
    for each in curves:
        for i, iteration in enumerate(each.iteration):
            row: dict[str, Any] = {"method": each.name, "iteration": iteration}
            for name, values in each.parts.items():
                mean, low, high = (f"{v:.6g}" for v in values[i].tolist())
                row |= {name: mean, f"{name}_q1": low, f"{name}_q3": high}
            rows.append(row | {"violations": each.violations})
    return rows


def _map_rows(pictures: Sequence[Picture]) -> list[dict[str, Any]]:
    """One row for every location that is not grey anywhere worth looking at."""
    return [
        {
            "sample": each.sample,
            "method": each.method,
            "seed": each.seed,
            "error_mm": f"{each.error_mm:.2f}",
            "location": location,
            "share": f"{float(each.values[location]):.4f}",
        }
        for each in pictures
        for location in torch.nonzero(each.values >= 0.1)[:, 0].tolist()
    ]


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _folder(path: Path) -> Path:
    """Make the folder, before anything is computed."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MajorantError(
            f"{path} cannot be a folder ({error.strerror}); name another"
        ) from error
    if not os.access(path, os.W_OK):
        raise MajorantError(f"nothing can be written into {path}; name another folder")
    return path


def _write(folder: Path, name: str, png: bytes, text: str) -> list[Path]:
    """Write a figure and its points, each whole or not at all."""
    written = []
    for suffix, content in ((".png", png), (".csv", text.encode())):
        target = folder / f"{name}{suffix}"
        try:
            write_file(target, content)
        except OSError as error:
            raise MajorantError(f"{target} cannot be written ({error.strerror})") from error
        written.append(target)
    return written
