"""Rows of the everyday bench: means with intervals, paired differences, regret; and as text.

Intervals of means are percentile bootstraps over samples (95 %); paired intervals are those of
Student's t for the difference to another solver on the same samples. Regret is a solver's mean over
the best solver's of that cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from majorant.metrics.localisation import bootstrap

__all__ = [
    "FIGURES",
    "Scores",
    "also_rows",
    "as_csv",
    "as_markdown",
    "paired_rows",
    "regret_rows",
    "rows",
]

FIGURES: Mapping[str, tuple[str, float]] = {
    "EMD": ("emd", 1.0),
    "off": ("off", 1.0),
    "AUC": ("auc", 100.0),
    "LE": ("le", 1.0),
    "found": ("found", 1.0),
    "ghosts": ("ghosts", 1.0),
    "ms": ("ms", 1.0),
}
"""Columns of the table: the judge's figure and its factor."""
ALSO: Mapping[str, tuple[str, float]] = {"1-cos": ("cosine", 1.0), "LE7": ("le_zone", 1.0)}
"""Figures beside the table: the angle, and the error within seven regions."""
TALLIES = ("rises", "refused")
"""Sums over the samples: rises of the energy, and windows whose proposal the guard refused."""
COST = ("EMD", "LE", "off")
"""What regret is taken of."""

Scores = Mapping[tuple[str, str], Sequence[Mapping[str, float]]]
"""Figures of every sample by (cell, solver), in the order of the samples."""


def _values(scores: Sequence[Mapping[str, float]], figure: tuple[str, float]) -> Any:
    key, factor = figure
    return factor * np.array([one[key] for one in scores], dtype=float)


def _rows(scores: Scores, figures: Mapping[str, tuple[str, float]]) -> list[dict[str, Any]]:
    out = []
    for (cell, solver), samples in scores.items():
        row: dict[str, Any] = {"cell": cell, "solver": solver, "n": len(samples)}
        table = np.stack([_values(samples, figure) for figure in figures.values()], axis=1)
        for name, one in zip(figures, bootstrap(torch.from_numpy(table)), strict=True):
            row |= {name: one.mean, f"{name}_ci": [one.low, one.high]}
        out.append(row)
    return out


def rows(scores: Scores) -> list[dict[str, Any]]:
    """One row a cell and solver: ``cell, solver, n``, every figure with its ``_ci``, and tallies.

    Tallies of samples that were judged before there were any are None.
    """
    return [
        {**row, **_tallies(samples)}
        for row, samples in zip(_rows(scores, FIGURES), scores.values(), strict=True)
    ]


def _tallies(samples: Sequence[Mapping[str, float]]) -> dict[str, int | None]:
    known = all(name in one for one in samples for name in TALLIES)
    return {name: sum(int(one[name]) for one in samples) if known else None for name in TALLIES}


def also_rows(scores: Scores) -> list[dict[str, Any]]:
    """The same for ``1-cos`` and ``LE7``."""
    return _rows(scores, ALSO)


def paired_rows(scores: Scores, against: str) -> list[dict[str, Any]]:
    """Differences to one solver on the same samples, with 95 % intervals of Student's t."""
    out = []
    for (cell, solver), samples in scores.items():
        other = scores.get((cell, against))
        if solver == against or other is None or len(other) != len(samples):
            continue
        row: dict[str, Any] = {"cell": cell, "solver": solver, "against": against}
        row["n"] = len(samples)
        for name, figure in {**FIGURES, **ALSO}.items():
            change = _values(samples, figure) - _values(other, figure)
            half = 0.0
            if len(change) > 1:
                error = change.std(ddof=1) / np.sqrt(len(change))
                half = float(stats.t.ppf(0.975, len(change) - 1)) * float(error)
            mean = float(change.mean())
            row |= {name: mean, f"{name}_ci": [mean - half, mean + half]}
        out.append(row)
    return out


def regret_rows(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and worst regret of every solver over the cells that it was judged in."""
    best: dict[tuple[str, str], float] = {}
    for row in found:
        for name in COST:
            key = (row["cell"], name)
            best[key] = min(best.get(key, np.inf), row[name])
    out = []
    for solver in dict.fromkeys(row["solver"] for row in found):
        mine = [row for row in found if row["solver"] == solver]
        line: dict[str, Any] = {"solver": solver, "cells": len(mine)}
        for name in COST:
            ratio = [row[name] / max(best[row["cell"], name], 1e-9) for row in mine]
            worst = int(np.argmax(ratio))
            line |= {
                f"mean {name}": float(np.mean([row[name] for row in mine])),
                f"{name} regret": float(np.mean(ratio)),
                f"{name} worst": float(ratio[worst]),
                f"{name} worst cell": mine[worst]["cell"],
            }
        out.append(line)
    return sorted(out, key=lambda line: line["mean EMD"])


def worst_first(found: Sequence[Mapping[str, Any]], focus: str) -> list[str]:
    """Cells by the regret of one solver in EMD, the worst first."""
    best: dict[str, float] = {}
    own: dict[str, float] = {}
    for row in found:
        best[row["cell"]] = min(best.get(row["cell"], np.inf), row["EMD"])
        if row["solver"] == focus:
            own[row["cell"]] = row["EMD"]
    return sorted(best, key=lambda cell: -own.get(cell, 0.0) / max(best[cell], 1e-9))


def as_csv(found: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV; an interval takes two columns."""
    lines = []
    for row in found:
        flat: dict[str, Any] = {}
        for name, value in row.items():
            if name.endswith("_ci"):
                flat |= {f"{name}_low": value[0], f"{name}_high": value[1]}
            else:
                flat[name] = value
        lines.append(flat)
    out = io.StringIO()
    if lines:
        writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return out.getvalue()


def as_markdown(
    found: Sequence[Mapping[str, Any]], also: Sequence[Mapping[str, Any]], focus: str, command: str
) -> str:
    """The whole report as Markdown: regret first, then the cells, worst first."""
    extra = {(row["cell"], row["solver"]): row for row in also}
    parts = [
        f"`{command}`",
        "",
        "Means with 95 % intervals. EMD, off and LE in mm, AUC in %, found and ghosts as shares, "
        "ms of CPU; rises of the energy and refused windows are sums. "
        f"Cells are ordered by the regret of {focus} in EMD, the worst first.",
        "",
        *_table(
            regret_rows(found),
            {
                "solver": str,
                "cells": str,
                "mean EMD": _one,
                "EMD regret": _two,
                "EMD worst": _two,
                "mean LE": _one,
                "LE regret": _two,
                "LE worst": _two,
                "mean off": _one,
            },
        ),
    ]
    for cell in worst_first(found, focus):
        parts += ["", f"### {cell}", ""]
        mine = sorted((row for row in found if row["cell"] == cell), key=lambda row: row["EMD"])
        shown = [
            {
                **{k: row[k] for k in ("solver", "n")},
                **{name: _with_interval(row, name) for name in FIGURES if name != "ms"},
                "1-cos": _two(extra[cell, row["solver"]]["1-cos"]),
                "ms": f"{row['ms']:.0f}",
                **{name: "-" if row[name] is None else str(row[name]) for name in TALLIES},
            }
            for row in mine
        ]
        parts += _table(shown, dict.fromkeys(shown[0], str))
    return "\n".join(parts) + "\n"


def _one(value: float) -> str:
    return f"{value:.1f}"


def _two(value: float) -> str:
    return f"{value:.2f}"


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    word: Callable[[float], str] = _two if name in ("found", "ghosts") else _one
    low, high = row[f"{name}_ci"]
    return f"{word(row[name])} ({word(low)}, {word(high)})"


def _table(
    lines: Sequence[Mapping[str, Any]], columns: Mapping[str, Callable[[Any], str]]
) -> list[str]:
    head = "| " + " | ".join(columns) + " |"
    rule = "|" + "|".join("---" if name == "solver" else "---:" for name in columns) + "|"
    body = ["| " + " | ".join(f(line[n]) for n, f in columns.items()) + " |" for line in lines]
    return [head, rule, *body]


def heat(found: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Regret in EMD of every solver in every cell; NaN where it was not judged."""
    cells = list(dict.fromkeys(row["cell"] for row in found))
    solvers = [line["solver"] for line in regret_rows(found)]
    out = np.full((len(cells), len(solvers)), np.nan)
    for row in found:
        out[cells.index(row["cell"]), solvers.index(row["solver"])] = row["EMD"]
    return cells, solvers, out / np.nanmin(out, axis=1, keepdims=True)
