"""What a person sees before anything runs: help that fits a screen, and mistakes as one sentence.

Exit status: 0 fine; 1 a check failed, or a bug; 2 a mistake of the user's; 130 stopped by the
keyboard.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.exceptions import TyperException

from majorant.cli.given import check_all, check_words
from majorant.cli.voice import complain, hushed
from majorant.errors import MajorantError, nearest
from majorant.registry import SOLVERS

RARE = "Rarely needed"
"""Panel of the options that ``--help`` only names; ``--help-all`` explains them."""
ALL = "--help-all"
PLAIN = "Arguments and options"
TYPES = {" range>": ">", "<list[str]>": "<str>", "<list[float]>": "<float>"}
WIDTH, NAMES = 100, 28
FINE, FAILED, MISTAKE, STOPPED = 0, 1, 2, 130


def complete_solvers(incomplete: str) -> list[str]:
    """Complete the last of some solvers, separated by commas, for the shell."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in SOLVERS if name.startswith(last)]


class Command(TyperCommand):
    """A command whose help fits a screen and whose unknown options are answered."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options, or say which one was meant."""
        if ALL in args and not ctx.resilient_parsing:
            typer.echo(screen(self, ctx, whole=True))
            raise typer.Exit
        check_words(args)
        try:
            rest = super().parse_args(ctx, args)
        except TyperException as mistake:
            raise _explained(mistake, self, ctx) from mistake
        if not ctx.resilient_parsing:
            check_all(self, ctx)
        return rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, purpose, examples and options."""
        formatter.write(screen(self, ctx))


class Commands(TyperGroup):
    """Commands under one name; an unknown one is answered with the nearest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command, or say which one was meant."""
        name = args[0]
        if name not in self.commands and not ctx.resilient_parsing:
            path = ctx.command_path
            advice = f"see {path} --help"
            if not ctx.parent and Path(name).is_file():
                advice = f"to image that file, say {path} image {name}"
            raise MajorantError(
                f"there is no command {name!r}{nearest(name, self.commands)}; {advice}"
            )
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options, or say which one was meant; alone, show the help."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise typer.Exit
        try:
            return super().parse_args(ctx, args)
        except TyperException as mistake:
            raise _explained(mistake, self, ctx) from mistake

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, purpose, examples and commands."""
        formatter.write(screen(self, ctx))


class Door(Commands):
    """The first of all commands: it turns mistakes into sentences and exit statuses."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; the keyboard may stop it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            complain("stopped by the keyboard; nothing was left half-written")
            raise typer.Exit(STOPPED) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line to its exit status."""
        try:
            status = super().main(
                args, "majorant", complete_var, False, windows_expand_args, **extra
            )
            # What is held back is written now: where that fails, somebody is to be told.
            sys.stdout.flush()
        except (MajorantError, TyperException) as mistake:
            complain(_sentence(mistake))
            status = MISTAKE
        except BrokenPipeError:
            # Who read us has read enough.
            hushed()
            status = FAILED
        except (OSError, MemoryError) as error:
            complain(_of_the_machine(error))
            hushed()
            status = FAILED
        sys.exit(status or FINE)


def _sentence(mistake: MajorantError | TyperException) -> str:
    said = mistake.format_message() if isinstance(mistake, TyperException) else str(mistake)
    return said.rstrip(".")


def _of_the_machine(error: OSError | MemoryError) -> str:
    """Say what the machine refused: a disk, a stream, memory."""
    if isinstance(error, MemoryError):
        return f"there is too little memory ({str(error) or 'no reason was given'}); ask for less"
    what = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    return f"{what}{error.strerror or error}; what was finished before is kept"


def _explained(mistake: TyperException, command: Any, ctx: Any) -> MajorantError:
    """Say a mistake of parsing as one sentence that ends with where to look."""
    # Only the exception of an unknown option has this attribute, and its class is private.
    unknown = getattr(mistake, "option_name", None)
    if unknown is None or "No such option" not in mistake.format_message():
        return MajorantError(f"{_sentence(mistake)}; see {ctx.command_path} --help")
    known = [name for option in command.get_params(ctx) for name in option.opts]
    return MajorantError(
        f"there is no option {unknown}{nearest(unknown, known)}; see {ctx.command_path} --help"
    )


def screen(command: Any, ctx: Any, *, whole: bool = False, width: int | None = None) -> str:
    """Lay the help of a command out.

    Parameters
    ----------
    command, ctx
        Of typer.
    whole : bool
        Whether to explain what is rarely needed, too.
    width : int or None
        Columns, without colours; None takes the terminal's, or 80 where there is none.

    Returns
    -------
    str
    """
    console = Console(highlight=False, width=width, force_terminal=None if width is None else False)
    console.width = min(console.width, WIDTH)
    with console.capture() as captured:
        console.print(Group(*_help(command, ctx, whole=whole)))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _help(command: Any, ctx: Any, *, whole: bool) -> list[RenderableType]:
    """Usage, purpose, examples, arguments, options by panel, commands."""
    purpose, examples = _parted(command.help or "")
    usage = Text("Usage: ", style="bold")
    usage.append(" ".join([ctx.command_path, *command.collect_usage_pieces(ctx)]), style="default")
    parts: list[RenderableType] = [usage, Text(), Text(purpose)]
    if examples:
        parts += [_heading("Examples"), *(Text(f"  {line}", style="cyan") for line in examples)]
    panels = _panels(command, ctx)
    commands = list(_commands(command)) if isinstance(command, TyperGroup) else []
    named = [row for rows in (commands, *panels.values()) for row in rows]
    width = 2 + max((len(name) for name, _ in named), default=0)
    rare = [] if whole else panels.pop(RARE, [])
    if commands:
        parts += [_heading("Commands"), _columns(commands, width)]
    for title, records in panels.items():
        parts += [_heading(title), _columns(records, width)]
    if rare:
        listed = " ".join(record[0].split()[0].rstrip(",") for record in rare)
        parts += [_heading(f"{RARE}, explained by {ctx.command_path} {ALL}")]
        parts += [Text(listed, style="dim")]
    return parts


def _parted(text: str) -> tuple[str, list[str]]:
    """Purpose and examples: what stands before the first ``\\b``, and the lines after it."""
    purpose, _, rest = text.partition("\b")
    lines = [line.strip() for line in rest.splitlines() if line.strip()]
    return " ".join(purpose.split()), lines


def _heading(title: str) -> Text:
    return Text(f"\n{title}:", style="bold")


def _panels(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Names and words of what can be given, by panel; the help needs no help, the rare is last."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None or parameter.name == "help":
            continue
        name, words = record
        for long, short in TYPES.items():
            name = name.replace(long, short)
        title = PLAIN
        if isinstance(parameter, TyperOption) and parameter.rich_help_panel:
            title = str(parameter.rich_help_panel)
        panels.setdefault(title, []).append((name, words))
    order = sorted(panels, key=lambda title: (title == RARE, title != PLAIN))
    return {title: panels[title] for title in order}


def _commands(group: TyperGroup) -> Iterator[tuple[str, str]]:
    for name, command in group.commands.items():
        if not command.hidden:
            yield name, _parted(command.help or "")[0].split(":")[0].split(";")[0].rstrip(".")


def _columns(rows: Sequence[tuple[str, str]], width: int) -> Table:
    """Two columns, the first alike in all panels; a longer name takes two lines."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=min(width, NAMES))
    grid.add_column()
    for name, words in rows:
        grid.add_row(Text(f"  {name}", style="green"), Text(words))
    return grid
