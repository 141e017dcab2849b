"""The command line: it parses, speaks and exits; it computes nothing.

A user's mistake is one sentence on standard error and exit status 2; nothing is left half-written.
"""

from __future__ import annotations

import gc
from typing import Annotated, Any

import typer

from majorant import __version__
from majorant.cli.audit import audit
from majorant.cli.bench import bench
from majorant.cli.cite import cite
from majorant.cli.compare import compare
from majorant.cli.group import group
from majorant.cli.head import head
from majorant.cli.image import image
from majorant.cli.info import info
from majorant.cli.screen import Command, Door
from majorant.cli.stream import stream
from majorant.cli.train import simulate, train

app = typer.Typer(
    cls=Door,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


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
    """Majorant shows where in the brain EEG and MEG come from, and how far to trust it.

    \b
    majorant image --demo
    majorant image recording-ave.fif --condition "Left Auditory"
    majorant audit --montage standard_1020 --electrodes 32
    """


for command in (image, audit, compare, group, stream, head, train, simulate, cite, info):
    app.command(cls=Command)(command)
app.add_typer(bench, name="bench")


SELDOM = 10_000
"""New objects between two looks of the collector. A command loads a quarter of a million objects
that stay, and Python's own 700 has it walk through all of them again and again."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; a user's mistake becomes one sentence and exit status 2."""
    gc.set_threshold(SELDOM)
    return app(args=arguments)
