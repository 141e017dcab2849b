"""Table I of the MM-Net paper: localisation metrics of every solver on simulated data.

Published numbers stand beside ours. Two kinds of data, and for learned methods a row for every kind
they were trained on, within the domain and across. Solvers come from the registry by name, learned
ones from the packaged weights; ``limit`` is the matched filter of :mod:`majorant.bench.limit`,
which knows the family the data come from.

Needs no MNE: the packaged lead field of the template is enough.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from majorant import registry
from majorant.bench.limit import MatchedFilter
from majorant.bench.methods import OPTIONS, Method, MethodOutcome, judging, measure
from majorant.bench.rows import NOT_TRAINED, Row, as_csv, as_json, as_markdown, as_table
from majorant.files.output import check_file
from majorant.files.write import write_file
from majorant.forward.leadfield import Leadfield
from majorant.learned.families import FAMILIES
from majorant.learned.network import SCANNED
from majorant.problem import MajorantError
from majorant.randomness import takes_rng
from majorant.simulate.dataset import Batch, SereegaLike, SereegaSettings, SimulatedPairs
from majorant.simulate.neural_mass_data import NeuralMassLike
from majorant.simulate.neural_mass_shards import read_clips
from majorant.solvers.loop import solve
from majorant.weights.shipped import domains, trained

LIMIT = "limit"
FROM = {f"mm-net-from-{start}": start for start in SCANNED}
"""MM-Net trained and begun at the estimate of a patch scan, or its mean with sLORETA: such starts
know that there is one patch, and what patches are like."""

METHODS = (
    *("mne", "sloreta", "meta-curvature", "modgrad", "4dvarnet", "r-mm-net", "mm-net"),
    *(*FROM, LIMIT),
)
"""Rows of the table, in its order; those that cannot be made are left out."""

TESTS = ("sereega", "nmm")
ALL = "all"
WRITERS: Mapping[str, Callable[[Sequence[Row]], str]] = {
    ".json": as_json,
    ".csv": as_csv,
    ".md": as_markdown,
}


@takes_rng
@dataclass(frozen=True)
class TableData:
    """What the table is made on.

    Attributes
    ----------
    n : int
        Test samples; a longer run begins with the samples of a shorter one.
    seed : int
    leadfield : Leadfield or None
        None is the packaged template: 994 regions, 90 electrodes.
    settings : SereegaSettings or None
        Of the SEREEGA-type data.
    clips : path or None
        Folder of neural-mass clips; None makes them, which takes seconds.
    device : str
        Where data and solvers live.
    """

    n: int = 500
    seed: int = 333
    leadfield: Leadfield | None = None
    settings: SereegaSettings | None = None
    clips: str | os.PathLike[str] | None = None
    device: str = "cpu"

    def half(self, test: str, head: Leadfield) -> SimulatedPairs:
        """Return the data of a kind."""
        if test == "nmm":
            held = None if self.clips is None else read_clips(self.clips)
            return NeuralMassLike(
                head, self.n, self.seed, part="test", clips=held, device=self.device
            )
        return SereegaLike(
            head, self.n, self.seed, part="test", settings=self.settings, device=self.device
        )


def run(
    test: str = "all",
    methods: Sequence[str] | None = None,
    on: TableData | None = None,
    *,
    extended: bool = False,
    equal: bool = False,
    files: Sequence[str | os.PathLike[str]] = (),
    show: bool = True,
) -> list[Row]:
    """Make the table, show it and write it.

    Parameters
    ----------
    test : {"sereega", "nmm", "all"}
        Kind of the test data.
    methods : sequence of str, optional
        Rows wanted; every known one by default.
    on : TableData, optional
        What it is made on.
    extended : bool
        Whether to add our own rows, see :mod:`majorant.bench.extended`.
    equal : bool
        Whether every learned method takes the weights that were trained at equal cost, even where
        there are better ones.
    files : sequence of path
        Written as JSON, CSV or Markdown, by their suffix, whole or not at all.
    show : bool
        Whether to print a progress bar and the table.

    Returns
    -------
    list of Row

    Raises
    ------
    MajorantError
        If a name is unknown or a file cannot be written; before anything is computed.
    """
    chosen = _methods(methods)
    targets = [_target(path) for path in files]
    if test not in (*TESTS, ALL):
        raise MajorantError(f"there is no test {test!r}; choose from {', '.join((*TESTS, ALL))}")
    on = on or TableData()
    head = on.leadfield if on.leadfield is not None else Leadfield.template_small()
    halves = TESTS if test == ALL else (test,)
    rows: list[Row] = []
    with _bar(len(halves) * sum(len(_domains(name)) for name in chosen) * on.n, show) as progress:
        for half in halves:
            data = on.half(half, head)
            rows += table1(data, chosen, test=half, equal=equal, progress=progress)
        if extended:
            from majorant.bench import extended as beyond

            whole = on.leadfield is None
            rows += beyond.extended(
                head, on.n, on.seed, device=on.device, heads=whole, progress=progress
            )
    for target in targets:
        _write(target, WRITERS[target.suffix.lower()](rows))
    if show:
        from rich.console import Console

        Console().print(as_table(rows))
    return rows


def table1(
    data: SimulatedPairs,
    methods: Sequence[str],
    *,
    test: str = TESTS[0],
    equal: bool = False,
    progress: Callable[[str, int], None] | None = None,
) -> list[Row]:
    """Score methods on a data set.

    Parameters
    ----------
    data : SimulatedPairs
    methods : sequence of str
        Names of the registry or of learned methods with packaged weights, or ``"limit"``.
    test : {"sereega", "nmm"}
        What the data are.
    equal : bool
        See :func:`run`.
    progress : callable, optional
        Called with the method and the number of samples just done.

    Returns
    -------
    list of Row
        In the order of ``methods``; of a learned one, a row for every kind of data it was
        trained on.
    """
    score = judging(data)
    return [
        measure(name, test, _method(name, domain, data, equal), data, score, progress)
        for name in methods
        for domain in _domains(name)
    ]


def _domains(name: str) -> tuple[str, ...]:
    """Return what a method was trained on: a row for each."""
    if _learned(name) not in FAMILIES:
        return (NOT_TRAINED,)
    return domains(_learned(name), FROM.get(name))


def _learned(name: str) -> str:
    """The method whose weights a row takes."""
    return "mm-net" if name in FROM else name


def _method(name: str, domain: str, data: SimulatedPairs, equal: bool) -> Method:
    """Make the method of a row."""
    if name == LIMIT:
        search = MatchedFilter(data)
        return Method(lambda batch: MethodOutcome(search.estimate(batch)))
    parameters, minutes = 0, None
    if _learned(name) in FAMILIES:
        start = FROM.get(name)
        solver = trained(_learned(name), domain, equal=equal, sfreq=data.sfreq, start=start)
        solver.require(data.leadfield.operator())
        parameters = sum(p.numel() for p in solver.network.parameters())
        minutes = solver.card.metrics.get("training_minutes") if solver.card else None
    else:
        solver = registry.make(name, **OPTIONS.get(name, {}))

    def run_solver(batch: Batch) -> MethodOutcome:
        solution = solve(data.problem(batch), solver)
        kept = solution.certificate
        return MethodOutcome(solution.estimate, int(kept.violations.sum()), int(kept.refused.sum()))

    return Method(run_solver, domain, parameters, minutes)


def _methods(asked: Sequence[str] | None) -> list[str]:
    """Return the rows wanted, refusing names that do not exist and names given twice."""
    classical = [name for name in registry.SOLVERS if name not in FAMILIES]
    learned = [name for name in (*FAMILIES, *FROM) if _domains(name)]
    possible = [*classical, *learned, LIMIT]
    if asked is None:
        return [name for name in METHODS if name in possible]
    if any(name not in possible for name in asked) or not asked or len(set(asked)) != len(asked):
        raise MajorantError(
            f"the methods are {', '.join(asked) or '(none)'}; expected different ones out of "
            f"{', '.join(possible)}"
        )
    return list(asked)


def _target(path: str | os.PathLike[str]) -> Path:
    """Return a path that can be written and whose suffix says how."""
    target = Path(path)
    if target.suffix.lower() not in WRITERS:
        raise MajorantError(
            f"{target} does not say how to write the table; end it in {', '.join(WRITERS)}"
        )
    return check_file(target)


def _write(target: Path, text: str) -> None:
    """Write a file whole or not at all."""
    try:
        write_file(target, text)
    except OSError as error:
        raise MajorantError(f"{target} cannot be written ({error.strerror})") from error


@contextmanager
def _bar(total: int, show: bool) -> Iterator[Callable[[str, int], None] | None]:
    """Yield what moves a progress bar, or None where none is wanted."""
    if not show:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda name, done: bar.update(task, description=name, advance=done)
