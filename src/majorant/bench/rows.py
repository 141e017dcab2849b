"""Rows of the localisation table: published numbers, our numbers, and how they are written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from majorant.metrics.localisation import Interval

if TYPE_CHECKING:
    from rich.table import Table

METRICS = MappingProxyType({"LE": "le", "AUC": "auc", "nMSE": "nmse", "PSNR": "psnr", "TE": "te"})
"""Columns of the published table and the scores they hold."""
UNITS = MappingProxyType({"LE": "mm", "AUC": "%", "nMSE": "", "PSNR": "dB", "TE": "ms"})
DIGITS = MappingProxyType({"LE": 2, "AUC": 2, "nMSE": 3, "PSNR": 2, "TE": 2})
EXTRA = MappingProxyType({"LE_cortex": "le_cortex", "PSNR_unit": "psnr_unit"})
"""Beside the published ones: the maximum over the whole cortex, and the PSNR of range 1."""

NOT_TRAINED = "-"


def _published(*values: float) -> Mapping[str, float]:
    return MappingProxyType(dict(zip(METRICS, values, strict=True)))


PAPER: Mapping[tuple[str, str, str], Mapping[str, float]] = MappingProxyType(
    {
        ("sereega", NOT_TRAINED, "mne"): _published(21.06, 82.05, 0.02, 21.85, 2.72),
        ("sereega", NOT_TRAINED, "sloreta"): _published(14.82, 86.75, 0.05, 18.29, 1.57),
        ("sereega", "sereega", "meta-curvature"): _published(10.22, 97.86, 0.01, 27.90, 0.72),
        ("sereega", "sereega", "modgrad"): _published(28.68, 69.12, 0.06, 21.54, 1.60),
        ("sereega", "sereega", "4dvarnet"): _published(9.17, 99.52, 0.01, 30.35, 1.04),
        ("sereega", "sereega", "r-mm-net"): _published(4.07, 99.86, 0.00, 37.81, 0.85),
        ("sereega", "sereega", "mm-net"): _published(3.92, 99.90, 0.00, 38.74, 0.79),
        ("sereega", "nmm", "4dvarnet"): _published(20.68, 92.74, 0.02, 22.99, 1.62),
        ("sereega", "nmm", "r-mm-net"): _published(17.88, 92.67, 0.01, 25.13, 1.55),
        ("sereega", "nmm", "mm-net"): _published(16.74, 92.87, 0.01, 25.64, 1.47),
        ("nmm", NOT_TRAINED, "mne"): _published(19.15, 77.36, 0.02, 29.81, 185.00),
        ("nmm", NOT_TRAINED, "sloreta"): _published(14.67, 79.18, 0.04, 26.46, 165.36),
        ("nmm", "nmm", "meta-curvature"): _published(17.58, 84.08, 0.02, 30.39, 170.12),
        ("nmm", "nmm", "modgrad"): _published(38.03, 64.32, 0.02, 29.15, 196.32),
        ("nmm", "nmm", "4dvarnet"): _published(15.13, 80.32, 0.01, 32.68, 166.24),
        ("nmm", "nmm", "r-mm-net"): _published(10.33, 81.14, 0.01, 35.72, 142.56),
        ("nmm", "nmm", "mm-net"): _published(9.98, 82.41, 0.01, 35.81, 146.24),
        ("nmm", "sereega", "4dvarnet"): _published(14.40, 74.97, 0.02, 30.23, 156.44),
        ("nmm", "sereega", "r-mm-net"): _published(14.20, 74.47, 0.01, 33.25, 138.78),
        ("nmm", "sereega", "mm-net"): _published(12.48, 75.03, 0.01, 33.72, 133.44),
    }
)
"""Table I of the MM-Net paper by test data, training data and method."""


@dataclass(frozen=True)
class Row:
    """One method on one kind of data.

    Attributes
    ----------
    test, trained_on, method : str
        ``trained_on`` is "-" for methods that are not trained.
    n : int
        Samples.
    metrics : mapping of str to Interval
        As :meth:`majorant.metrics.localisation.Scores.summary` returns them.
    empty : int
        Samples whose estimate was zero at the true peak, scored as blind guesses.
    violations, refused : int
        Sums over the samples, from the certificates.
    ms_per_sample : float
        Wall time of solving, ms.
    parameters : int
        Trained ones.
    training_minutes : float or None
        What the training took on one core; None where that is not known, or nothing was trained.
    """

    test: str
    trained_on: str
    method: str
    n: int
    metrics: Mapping[str, Interval]
    empty: int
    violations: int
    refused: int
    ms_per_sample: float
    parameters: int
    training_minutes: float | None = None

    @property
    def paper(self) -> Mapping[str, float] | None:
        """The published numbers of this row, where there are any."""
        return PAPER.get((self.test, self.trained_on, self.method))

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, ready for JSON; every metric with its interval ``_ci``."""
        row: dict[str, Any] = {
            "test": self.test,
            "trained_on": self.trained_on,
            "method": self.method,
            "n": self.n,
        }
        for column, name in (*METRICS.items(), *EXTRA.items()):
            interval = self.metrics[name]
            row[column] = interval.mean
            row[f"{column}_ci"] = [interval.low, interval.high]
        return row | {
            "violations": self.violations,
            "refused": self.refused,
            "ms_per_sample": self.ms_per_sample,
            "parameters": self.parameters,
            "training_minutes": self.training_minutes,
            "empty": self.empty,
            "paper": None if self.paper is None else dict(self.paper),
        }


def as_json(rows: Sequence[Row]) -> str:
    """Write rows as a JSON list."""
    return json.dumps([row.to_dict() for row in rows], indent=2, allow_nan=False) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """Write rows as CSV: an interval becomes two columns, a published number one of its own."""
    text = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(text, fieldnames=list(flat[0]) if flat else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.to_dict().items():
        if key == "paper":
            flat |= {f"{name}_paper": (value or {}).get(name, "") for name in METRICS}
        elif key.endswith("_ci"):
            flat |= {f"{key[:-3]}_low": value[0], f"{key[:-3]}_high": value[1]}
        else:
            flat[key] = value
    return flat


def _header() -> list[str]:
    columns = [f"{name} {UNITS[name]}".strip() for name in METRICS]
    costs = ["violations", "refused", "ms", "parameters", "training min"]
    return ["test", "trained on", "method", *columns, *costs]


def _cells(row: Row) -> list[str]:
    """Return the cells of a row; a metric as mean, interval and published number."""
    cells = [row.test, row.trained_on, row.method]
    for column, name in METRICS.items():
        interval, digits = row.metrics[name], DIGITS[column]
        mean, low, high = (f"{x:.{digits}f}" for x in (interval.mean, interval.low, interval.high))
        published = "" if row.paper is None else f" (paper {row.paper[column]:.2f})"
        cells.append(f"{mean} [{low}, {high}]{published}")
    return [
        *cells,
        str(row.violations),
        str(row.refused),
        f"{row.ms_per_sample:.2f}",
        f"{row.parameters:,}",
        "-" if row.training_minutes is None else f"{row.training_minutes:.0f}",
    ]


def as_markdown(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table with a note on what the numbers are."""
    header = _header()
    lines = [" | ".join(header), "|".join("---" for _ in header)]
    lines += [" | ".join(_cells(row)) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + f"\n\n{_note(rows)}\n"


def _note(rows: Sequence[Row]) -> str:
    samples = ", ".join(sorted({str(row.n) for row in rows})) or "no"
    return (
        f"Mean of {samples} samples and 95 % bootstrap interval; published value in brackets; "
        "ms per sample."
    )


def in_sections(rows: Sequence[tuple[str, Row]]) -> str:
    """Write rows of one test as short Markdown tables, one for every section, in their order.

    Parameters
    ----------
    rows : sequence of (str, Row)
        With the section of each.
    """
    columns = [f"{name} {UNITS[name]}".strip() for name in METRICS]
    header = ["", *columns, "violations", "refused"]
    lines: list[str] = []
    for section in dict.fromkeys(section for section, _ in rows):
        lines += ["", f"**{section}**", "", _line(header), _line(["---"] * len(header))]
        for held, row in rows:
            if held == section:
                cells = _cells(row)
                lines.append(_line([row.method, *cells[3 : 3 + len(columns) + 2]]))
    return "\n".join(lines[1:]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def as_table(rows: Sequence[Row]) -> Table:
    """Return rows as a table for an 80-column terminal: ours, its interval, the paper's number."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"Table I on {', '.join(dict.fromkeys(row.test for row in rows))}",
        caption=f"{_note(rows)} Rises are violations: of the energy of the iterates.",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("method\nms a sample\nparameters", no_wrap=True)
    for name in METRICS:
        table.add_column(f"{name} {UNITS[name]}\n95 %\npaper", justify="right", no_wrap=True)
    table.add_column("rises\nrefused", justify="right", no_wrap=True)
    for row in rows:
        parts = [f"[bold]{row.method}[/]", f"{row.ms_per_sample:.2f} ms", f"{row.parameters:,}"]
        if row.trained_on != NOT_TRAINED:
            parts.append(f"on {row.trained_on}")
        cells = [_stacked(row, column) for column in METRICS]
        table.add_row(
            "\n".join(parts), *cells, f"{row.violations}\n{row.refused}", end_section=True
        )
    return table


def _stacked(row: Row, column: str) -> str:
    """Return mean, interval and published number of a metric on three lines."""
    interval, digits = row.metrics[METRICS[column]], DIGITS[column]
    low, high = (_short(edge, digits) for edge in (interval.low, interval.high))
    published = "-" if row.paper is None else f"{row.paper[column]:.2f}"
    return f"[bold]{interval.mean:.{digits}f}[/]\n[dim]{low}–{high}[/]\n{published}"


def _short(value: float, digits: int) -> str:
    """Write a number in some four characters."""
    whole = len(str(int(abs(value))))
    return f"{value:.{max(digits - whole + 1, 0)}f}"
