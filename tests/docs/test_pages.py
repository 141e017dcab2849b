"""The pages: links lead somewhere, pictures are there, and commands are spelled as they are."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from majorant.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
MADE = ("made/", "examples/")
"""Folders of the site that its build fills."""
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


def named(page: Path) -> str:
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    text = CODE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        made = page.parent.name == "docs" and target.startswith(MADE)
        if "://" not in target and not made:
            assert (page.parent / target).exists(), target


def commands(page: Path) -> Iterator[str]:
    """Commands of the package in code, without what a shell does with them."""
    for block in CODE.findall(page.read_text("utf-8")):
        for line in block.strip("`").splitlines():
            command = line.strip().split("  #")[0].split(" | ")[0].split(" >>")[0]
            if re.match(r"majorant [a-z-]", command):
                yield command.split("   ")[0]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_are_spelled_as_they_are(page: Path) -> None:
    for command in commands(page):
        _, *words = shlex.split(command.replace("[", "").replace("]", ""))
        inner: Any = typer.main.get_command(app)
        while words and not words[0].startswith("-") and words[0] in _commands(inner):
            inner = _commands(inner)[words.pop(0)]
        options = {name for parameter in inner.params for name in parameter.opts}
        given = {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)}
        assert given <= options | {"--help", "--help-all"}, command


def _commands(command: Any) -> dict[str, Any]:
    return command.commands if isinstance(command, typer.core.TyperGroup) else {}


def test_tables_and_formulas_of_docstrings_are_read_as_they_stand() -> None:
    code = (
        "import sys; sys.path.insert(0, 'docs'); from docstrings import literals, tables\n"
        "print('\\n'.join(tables(['| a | b |', '|---|---|', '| 1 | 2 |', 'end'])))\n"
        "print('\\n'.join(literals(['So:', '', '    x = y', '', 'no:', 'text'])))"
    )
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.count("* -") == 2
    assert "---|" not in said
    assert "So::\n\n    x = y\n\nno:\ntext" in said
