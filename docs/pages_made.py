"""Pages that are made from the package itself: solvers, commands, bibliography, API.

Called by ``conf.py``; what it writes is not kept in the repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from majorant import __version__
from majorant.citations import entries
from majorant.cli import app
from majorant.cli.screen import screen
from majorant.registry import SOLVERS

ROOMS = {
    "Recordings in, estimates out": (
        "majorant.imager.imager",
        "majorant.inverse",
        "majorant.datasets",
        "majorant.atlas.read",
        "majorant.atlas.atlas",
        "majorant.imager.courses",
        "majorant.exports.write",
        "majorant.recording.file",
        "majorant.recording.prepare",
        "majorant.recording.settings",
        "majorant.recording.montage",
        "majorant.imaging.image",
        "majorant.imaging.result",
    ),
    "Planning and comparing": (
        "majorant.audit.settings",
        "majorant.audit.run",
        "majorant.compare.run",
        "majorant.compare.agree",
        "majorant.group.load",
        "majorant.group.statistics",
        "majorant.group.run",
        "majorant.group.write",
    ),
    "Problems, solvers, certificates": (
        "majorant.arrays",
        "majorant.problem",
        "majorant.registry",
        "majorant.solvers.base",
        "majorant.solvers.loop",
        "majorant.solvers.linear",
        "majorant.solvers.eloreta",
        "majorant.solvers.lcmv",
        "majorant.solvers.champagne",
        "majorant.solvers.mm",
        "majorant.testing",
    ),
    "Energies, bounds, the guard": (
        "majorant.energies.base",
        "majorant.energies.cosine",
        "majorant.energies.squares",
        "majorant.energies.evidence",
        "majorant.majorants.base",
        "majorant.majorants.cosine",
        "majorant.majorants.squares",
        "majorant.majorants.evidence",
        "majorant.majorants.guard",
        "majorant.majorants.spectral",
    ),
    "Learned solvers and their training": (
        "majorant.learned.mmnet",
        "majorant.learned.unfolded",
        "majorant.learned.families",
        "majorant.networks.autoencoder",
        "majorant.networks.corrections",
        "majorant.weights.shipped",
        "majorant.weights.sbl",
        "majorant.training.command",
        "majorant.training.recipes",
        "majorant.training.loop",
        "majorant.training.presets",
        "majorant.training.fit",
        "majorant.training.sbl",
        "majorant.training.layerwise",
    ),
    "Heads, simulations, metrics": (
        "majorant.forward.leadfield",
        "majorant.forward.template",
        "majorant.simulate.dataset",
        "majorant.simulate.patches",
        "majorant.simulate.sparse",
        "majorant.simulate.neural_mass",
        "majorant.simulate.neural_mass_data",
        "majorant.metrics.localisation",
        "majorant.metrics.transport",
        "majorant.metrics.calibration",
    ),
}
"""What others build on, by what it is for."""
UNDERSTAND = ("guarantees", "uncertainty", "audit", "compare", "sbl", "general", "mne-door", "bids")
"""What comes first of the pages that explain."""


def write(docs: Path, folder: Path) -> None:
    """Write every page; a page that did not change is left alone, so that builds stay quick."""
    folder.mkdir(exist_ok=True)
    pages = {
        "more.inc.md": _more(docs),
        "solvers.inc.md": _solvers(),
        "commands.md": _commands(),
        "bibliography.md": _bibliography(),
        "api.md": _api(),
    }
    for name, text in pages.items():
        page = folder / name
        if not page.is_file() or page.read_text("utf-8") != text:
            page.write_text(text, "utf-8")


def _more(docs: Path) -> str:
    """List the pages that the index does not name, so that a new one needs no words there."""
    lists = re.findall(r"```\{toctree\}(.*?)```", (docs / "index.md").read_text("utf-8"), re.DOTALL)
    named = {"index", *" ".join(lists).split()}
    rest = sorted(page.stem for page in docs.glob("*.md") if page.stem not in named)
    first = [page for page in UNDERSTAND if page in rest]
    listed = "\n".join([*first, *(page for page in rest if page not in first)])
    return f"```{{toctree}}\n:caption: Understand it\n:hidden:\n\n{listed}\n```\n"


def _solvers() -> str:
    lines = ["| name | what it does | what is guaranteed |", "|---|---|---|"]
    lines += [f"| `{s.name}` | {s.summary} | {s.guarantee} |" for s in SOLVERS.values()]
    return "\n".join(lines) + "\n"


def _commands() -> str:
    """Every command with all of its options, as the terminal shows them."""
    parts = [
        "# All commands\n",
        "Each as `--help-all` shows it; see [the command line](../command-line.md) for what is "
        "common to all.\n",
    ]
    for path, command in _walk(typer.main.get_command(app), ()):
        with typer.Context(command, info_name=" ".join(path)) as context:
            shown = screen(command, context, whole=True, width=96)
        parts.append(f"## {' '.join(path)}\n\n```text\n{shown}\n```\n")
    return "\n".join(parts)


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    own = (*path, command.name or "majorant") if path else ("majorant",)
    yield own, command
    for inner in getattr(command, "commands", {}).values():
        yield from _walk(inner, own)


def _bibliography() -> str:
    """Every work, with what it is behind, and its BibTeX on demand."""
    lines = [
        "# Bibliography\n",
        "`majorant cite SOLVER` or `majorant cite FOLDER` prints the entries behind a solver or a "
        "run.\n",
    ]
    for entry in entries():
        link = f" [{entry.link.split('//')[1]}](<{entry.link}>)" if entry.link else ""
        behind = ", ".join(f"`{word}`" for word in entry.keywords)
        lines.append(f"- {entry.sentence()}{link}\n  <br>Behind: {behind}.")
    return "\n".join(lines) + "\n"


def _api() -> str:
    lines = [
        "# API reference\n",
        "Arrays have a shape and a unit in every docstring; a batch always comes first: sources "
        "are `(n_batch, n_columns, n_times)` in A m, data `(n_batch, n_sensors, n_times)` in V, or "
        f"unitless once whitened. This is version {__version__}.\n",
        "The front door, imported lazily:\n",
        "```python\nfrom majorant import SourceImager, Problem, MatrixOperator, make, solve\n```\n",
    ]
    for title, modules in ROOMS.items():
        listed = "\n   ".join(modules)
        lines.append(
            f"## {title}\n\n```{{eval-rst}}\n.. autosummary::\n   :toctree: ../generated\n\n"
            f"   {listed}\n```\n"
        )
    return "\n".join(lines)
