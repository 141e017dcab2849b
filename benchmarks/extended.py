"""The tables of `majorant bench table1 --extended`, with their rows and their figure.

python -m benchmarks.extended 200                # the tables of docs/table1-extended.md
python -m benchmarks.extended 200 docs/images    # and their rows and figure, in a folder
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from majorant.bench.extended import scored, variations
from majorant.bench.extended_plots import draw
from majorant.bench.rows import as_csv, in_sections
from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield


def main(arguments: Sequence[str]) -> None:
    """Print the tables; arguments: [samples] [folder for the rows and the figure]."""
    n = int(arguments[0]) if arguments else 200
    folder = Path(arguments[1]) if len(arguments) > 1 else None
    if folder is not None and not folder.is_dir():
        raise MajorantError(f"there is no folder {folder}; make it first")
    changes, rows = [], []
    for change in variations(Leadfield.template_small(), n):
        changes.append(change)
        rows.append(scored(change))
        print(change.method, file=sys.stderr, flush=True)
    print(in_sections([(change.section, row) for change, row in zip(changes, rows, strict=True)]))
    if folder is not None:
        command = f"python -m benchmarks.extended {n} {folder}"
        text = f"# {command}\n{as_csv(rows)}"
        (folder / "extended.csv").write_text(text, encoding="utf-8")
        (folder / "extended.png").write_bytes(draw(list(zip(changes, rows, strict=True)), command))


if __name__ == "__main__":
    main(sys.argv[1:])
