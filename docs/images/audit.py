"""Audits of four caps for `docs/audit.md`: prints the table, writes the figure of 32 electrodes.

Run it from the root of the repository; a run that was stopped goes on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from majorant.audit.run import audit_folder
from majorant.audit.settings import AuditSettings
from majorant.errors import MajorantError
from majorant.registry import SOLVERS

CLASSIC = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2"
"""The 19 electrodes of the 10-20 system, by the newer names of the temporal ones."""
CAPS: dict[int, dict[str, Any]] = {
    19: {"montage": "standard_1020", "channels": tuple(CLASSIC.split())},
    32: {"montage": "standard_1020", "electrodes": 32},
    64: {"montage": "standard_1020", "electrodes": 64},
    128: {"montage": "standard_1005", "electrodes": 128},
}
LEVEL, PATCHES = 12.0, 100
HERE = Path(__file__).parent


def audited(n: int) -> dict[str, Any]:
    """Run the audit of a cap, or read the one that was finished before."""
    folder = Path("out") / f"docs-audit-{n}"
    settings = AuditSettings(snr=(LEVEL, LEVEL), n=PATCHES, **CAPS[n])
    try:
        return audit_folder(settings, folder, command=f"python docs/images/{Path(__file__).name}")
    except MajorantError:
        return json.loads((folder / "summary.json").read_text("utf-8"))


def rows(n: int, summary: dict[str, Any]) -> list[str]:
    """Return a cap's rows of the table."""
    lines = []
    for solver in summary["solvers"]:
        found = summary["levels"][0]["solvers"][solver]
        cells = [_cell(found[key]) for key in ("error", "within", "missed")]
        cells.append(_cell(found["false"], ".1f"))
        lines.append(f"| {n} | {SOLVERS[solver].title} | {' | '.join(cells)} |")
    return lines


def _cell(found: dict[str, float], spec: str = ".0f") -> str:
    low, high = format(found["low"], spec), format(found["high"], spec)
    return f"{format(found['mean'], spec)} ({low} to {high})"


if __name__ == "__main__":
    print("| electrodes | solver | error, mm | within 20 mm, % | missed, % | false, cm² |")
    print("|---|---|---|---|---|---|")
    for size in CAPS:
        print("\n".join(rows(size, audited(size))), flush=True)
    with Image.open(Path("out") / "docs-audit-32" / "maps.png") as poster:
        small = poster.convert("RGB").resize((1280, 1280 * poster.height // poster.width))
        small.save(HERE / "audit-32.png", optimize=True)
