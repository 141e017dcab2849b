"""Make the figure and the table of ``paper/paper.md`` from the tables of ``docs/everyday.md``.

    python -m benchmarks.paper

Nothing is computed anew and nothing typed by hand: ``majorant bench everyday`` made the tables of
the page, and ``tests/docs/test_paper.py`` fails where paper and page differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
PAGE, PAPER = ROOT / "docs" / "everyday.md", ROOT / "paper" / "paper.md"
PICTURE = ROOT / "paper" / "everyday.png"
BEGIN, END = "<!-- table: python -m benchmarks.paper -->", "<!-- end of table -->"
SHOWN = ("EMD mm", "LE mm", "1 - cos", "found", "ghosts")
NAMES = {
    "auto": "Majorant (auto)",
    "sloreta": "sLORETA",
    "eloreta": "eLORETA",
    "dspm": "dSPM",
    "mne": "MNE",
    "lcmv": "LCMV",
}
"""Solvers that are not called as their name with a capital."""

Table = list[dict[str, str]]


def tables(text: str) -> list[Table]:
    """Read the tables of a page, every row by its heads."""
    found: list[Table] = []
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            found.append([dict(zip(rows[0], row, strict=True)) for row in rows[2:]])
            rows = []
    return found


def everyday() -> tuple[Table, Table, str]:
    """The means of the solvers, the paired differences of the default, and the command."""
    text = PAGE.read_text("utf-8")
    found = text[text.index("## What was found") :]
    command = re.search(r"^majorant bench everyday .*$", found, re.MULTILINE)
    assert command is not None
    read = tables(found)
    means = next(table for table in read if {"solver", *SHOWN} <= set(table[0]))
    differences = next(table for table in read if any(head.endswith("less") for head in table[0]))
    return means, differences, command[0]


def title(solver: str) -> str:
    """A solver as the paper calls it."""
    name = solver.strip("`")
    return NAMES.get(name, name.capitalize())


def written() -> str:
    """The table of the paper."""
    means, _, command = everyday()
    lines = [f"| | {' | '.join(SHOWN)} |", f"|:--|{'--:|' * len(SHOWN)}"]
    for row in means:
        cells = " | ".join(row[name] for name in SHOWN)
        lines.append(f"| {title(row['solver'])} | {cells} |")
    caption = (
        f"Table: Everyday data: means over all cells (`{command}`). EMD: earth mover's distance "
        "between estimated and true activity; LE: from the strongest location to the nearest "
        "source; found: share of sources with a peak within 20 mm; ghosts: share of peaks without "
        "such a source. \\label{tab:everyday}"
    )
    return "\n".join([BEGIN, "", *lines, "", caption, "", END])


def interval(cell: str) -> tuple[float, float, float]:
    """Mean and ends of a cell such as ``-2.9 (-3.9, -1.9)``."""
    numbers = [float(number) for number in re.findall(r"[-+]?\d*\.?\d+", cell)]
    assert len(numbers) == 3, cell
    return numbers[0], numbers[1], numbers[2]


def draw(differences: Sequence[Mapping[str, str]], command: str) -> None:
    """Draw the paired differences with their intervals."""
    others = next(head for head in differences[0] if head.endswith("less"))
    panels = [name for name in SHOWN if name in differences[0]]
    figure, axes = plt.subplots(1, len(panels), figsize=(9.5, 1.9), sharey=True, dpi=200)
    for axis, name in zip(axes, panels, strict=True):
        for k, row in enumerate(differences):
            mean, low, high = interval(row[name])
            axis.plot([low, high], [k, k], color="#1f4e79", lw=2)
            axis.plot(mean, k, "o", color="#1f4e79", ms=5)
        axis.axvline(0, color="0.6", lw=0.8)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.margins(y=0.3)
    axes[0].set_yticks(range(len(differences)), [title(row[others]) for row in differences])
    axes[0].invert_yaxis()
    figure.text(0.005, 0.01, command, fontsize=5.5, color="0.4")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(PICTURE, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Write picture and table."""
    _, differences, command = everyday()
    draw(differences, command)
    text = PAPER.read_text("utf-8")
    before, after = text[: text.index(BEGIN)], text[text.index(END) + len(END) :]
    PAPER.write_text(before + written() + after, "utf-8")
    print(PICTURE)


if __name__ == "__main__":
    main()
