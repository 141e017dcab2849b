"""``majorant bench``: accuracy as tables and figures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from majorant.cli.answer import STDOUT, Json, deliver
from majorant.cli.options import names
from majorant.cli.screen import Command, Commands
from majorant.cli.things import things

OUTPUT = "Output"

bench = typer.Typer(cls=Commands)
bench.command("things", cls=Command)(things)


@bench.callback()
def root() -> None:
    """Benchmarks: accuracy as tables and figures.

    \b
    majorant bench everyday --quick
    majorant bench table1 --test sereega --n 500
    majorant bench sbl --figure 4 --n 40
    """


@bench.command("table1", cls=Command)
def table1(
    test: Annotated[str, typer.Option(help="Test data: sereega, nmm or all.")] = "all",
    methods: Annotated[
        str | None, typer.Option(help="Methods, separated by commas; default all.")
    ] = None,
    n: Annotated[int, typer.Option(min=1, help="Test samples.")] = 500,
    equal: Annotated[
        bool, typer.Option("--equal", help="Weights trained at equal cost, also where better are.")
    ] = False,
    extended: Annotated[
        bool, typer.Option("--extended", help="Add our own rows: guards, montages, noise, heads.")
    ] = False,
    clips: Annotated[
        Path | None, typer.Option(help="Neural-mass waveforms of `majorant simulate nmm`.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the test set.")] = 333,
    csv: Annotated[
        Path | None, typer.Option(help="Write the rows as CSV.", rich_help_panel=OUTPUT)
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the table as Markdown.", rich_help_panel=OUTPUT)
    ] = None,
    json: Json = None,
) -> None:
    """Table I of the MM-Net paper, published numbers beside ours.

    \b
    majorant bench table1 --test sereega --methods mne,sloreta,mm-net --n 200
    majorant bench table1 --n 100 --json rows.json
    """
    from majorant.bench.table1 import TableData, run

    files = [path for path in (csv, markdown) if path is not None]
    rows = run(
        test,
        names(methods),
        TableData(n, seed, clips=clips),
        files=files,
        extended=extended,
        equal=equal,
        show=json != STDOUT,
    )
    deliver([row.to_dict() for row in rows], json)


@bench.command("figures", cls=Command)
def figures(
    figure: Annotated[str, typer.Option(help="convergence, maps or all.")] = "all",
    n: Annotated[int, typer.Option(min=1, help="Test samples of the convergence.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of the test set.")] = 333,
    output: Annotated[Path, typer.Option("--out", help="Folder.", rich_help_panel=OUTPUT)] = Path(
        "out/figures"
    ),
    json: Json = None,
) -> None:
    """Figures of the MM-Net paper, redrawn: how solvers converge, and what they show.

    \b
    majorant bench figures --figure convergence --n 50
    majorant bench figures --figure maps --out docs/images
    """
    from majorant.bench.figures import run_figures

    def say(line: object) -> None:
        typer.echo(line, err=json == STDOUT)

    paths = list(run_figures(figure, n, out=output, seed=seed, say=say))
    for path in paths:
        say(path)
    deliver({"figures": [str(path) for path in paths]}, json)


@bench.command("sbl", cls=Command)
def sbl(
    figure: Annotated[str, typer.Option(help="2, 3, 4, 5, 7, 8 or all.")] = "all",
    n: Annotated[int, typer.Option(min=2, help="Samples of every point.")] = 40,
    slow: Annotated[bool, typer.Option("--slow", help="Run MxNE and gamma-map, too.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the test data.")] = 777,
    output: Annotated[Path, typer.Option("--out", help="Folder.", rich_help_panel=OUTPUT)] = Path(
        "out/sbl"
    ),
    json: Json = None,
) -> None:
    """Figures of the sparse Bayesian paper, redrawn with baselines: PNG and CSV.

    \b
    majorant bench sbl --figure 4 --n 40
    majorant bench sbl --figure 3 --n 24 --json points.json
    """
    from majorant.bench.sbl import run_sbl

    def say(line: str) -> None:
        typer.echo(line, err=json == STDOUT)

    points = run_sbl(figure, n, out=output, slow=slow, seed=seed, say=say)
    deliver({"points": [asdict(point) for point in points]}, json)


@bench.command("everyday", cls=Command)
def everyday(
    quick: Annotated[
        bool, typer.Option("--quick", help="12 cells of one head and cap: below ten minutes.")
    ] = False,
    solvers: Annotated[
        str | None, typer.Option(help="Solvers and references, with commas; default all.")
    ] = None,
    n: Annotated[
        int | None, typer.Option(min=1, help="Samples of a cell; default 100, quick 4.")
    ] = None,
    sites: Annotated[int, typer.Option(min=1, help="Heads of every kind and cap.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of the test set.")] = 2027,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    output: Annotated[
        Path, typer.Option("--out", help="Folder; a run in it goes on.", rich_help_panel=OUTPUT)
    ] = Path("out/everyday"),
    json: Json = None,
) -> None:
    """Every solver on what people record: any source, any cap, an unknown head.

    \b
    majorant bench everyday --quick
    majorant bench everyday --solvers sloreta,champagne,scan --n 20
    """
    from majorant.bench.everyday import TablePlan, run_everyday

    plan = TablePlan(n or (4 if quick else 100), seed, quick, sites)

    def say(line: str) -> None:
        typer.echo(line, err=True)

    found = run_everyday(plan, names(solvers), output, jobs=jobs, say=say)
    if json != STDOUT:
        typer.echo((output / "everyday.md").read_text(encoding="utf-8"))
    deliver(found, json)
