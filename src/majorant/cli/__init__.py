"""The command line: it parses, speaks and exits; it computes nothing.

A user's mistake is one sentence on standard error and exit status 2; nothing is left half-written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from majorant import __version__
from majorant.cli.audit import audit
from majorant.cli.compare import compare
from majorant.cli.image import image
from majorant.cli.train import names, simulate, train
from majorant.cli.voice import complain
from majorant.errors import MajorantError

app = typer.Typer(
    help="Image brain activity from EEG with solvers whose guarantees hold.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="Benchmarks: accuracy as tables, speed as ratios.", no_args_is_help=True)
app.add_typer(bench, name="bench")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"majorant {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Image brain activity from EEG with solvers whose guarantees hold."""


@bench.command("table1")
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
    json: Annotated[Path | None, typer.Option(help="Write the rows as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the rows as CSV.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as Markdown.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the test set.")] = 333,
) -> None:
    """Table I of the MM-Net paper, published numbers beside ours."""
    from majorant.bench.table1 import run

    files = [path for path in (json, csv, markdown) if path is not None]
    more = {"extended": extended, "equal": equal}
    run(test, names(methods), n, seed=seed, clips=clips, files=files, **more)


@bench.command("sbl")
def sbl(
    figure: Annotated[str, typer.Option(help="2, 3, 4, 5, 7, 8 or all.")] = "all",
    n: Annotated[int, typer.Option(min=2, help="Samples of every point.")] = 40,
    output: Annotated[Path, typer.Option("--out", help="Folder.")] = Path("out/sbl"),
    json: Annotated[Path | None, typer.Option(help="Write all points as JSON.")] = None,
    slow: Annotated[bool, typer.Option("--slow", help="Run MxNE and gamma-map, too.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the test data.")] = 777,
) -> None:
    """Figures of the sparse Bayesian paper, redrawn with baselines; PNG and CSV."""
    from majorant.bench.sbl import run_sbl

    run_sbl(figure, n, out=output, json_file=json, slow=slow, seed=seed)


@bench.command("speed")
def speed() -> None:
    """Ratios of speed, measured side by side."""
    from majorant.bench.speed import main as measure

    measure()


@app.command()
def info() -> None:
    """Versions, cache, solvers, and a self-check."""
    from majorant.bench.selfcheck import print_info

    if not print_info():
        raise typer.Exit(1)


app.command()(image)
app.command()(audit)
app.command()(compare)
app.command()(train)
app.command()(simulate)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; a user's mistake becomes one sentence and exit status 2."""
    try:
        return app(args=arguments)
    except MajorantError as mistake:
        complain(str(mistake))
        sys.exit(2)
    except KeyboardInterrupt:
        complain("stopped by the keyboard; nothing was written")
        sys.exit(130)
