"""Docstrings are written to be read in the source; here they become what the site's reader parses.

Tables in the style of Markdown become list tables, and what is indented below a colon is shown as
it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def tables(lines: Sequence[str]) -> Iterator[str]:
    """Turn tables of bars into list tables."""
    rows: list[list[str]] = []
    for line in (*lines, ""):
        text = line.strip()
        if text.startswith("|") and text.endswith("|") and len(text) > 1:
            rows.append([cell.strip() for cell in text.strip("|").split("|")])
            continue
        if rows:
            yield from _listed([row for row in rows if set("".join(row)) - set("-: ")])
            rows = []
        yield line


def _listed(rows: list[list[str]]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    for row in rows:
        for k, cell in enumerate(row):
            yield f"   {'* -' if k == 0 else '  -'} {cell}"
    yield ""


def literals(lines: Sequence[str]) -> Iterator[str]:
    """Let a colon before an indented block announce literal text."""
    for k, line in enumerate(lines):
        below = lines[k + 2] if k + 2 < len(lines) and not lines[k + 1].strip() else ""
        depth = len(line) - len(line.lstrip())
        announces = line.endswith(":") and not line.endswith("::") and line.strip() != ":"
        if announces and below.startswith(" " * (depth + 4)) and not line.lstrip().startswith(":"):
            yield f"{line}:"
        else:
            yield line


def readable(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite a docstring in place, before numpydoc reads it."""
    lines[:] = list(literals(list(tables(lines))))


def setup(app: Any) -> dict[str, bool]:
    """Connect to autodoc; numpydoc comes after."""
    app.connect("autodoc-process-docstring", readable, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
