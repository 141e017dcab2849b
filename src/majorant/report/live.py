"""The interactive section: a cortex to turn, linked to time, head maps and time courses.

Everything it shows comes from one JSON block within it; its script (``script/``, with three.js from
``vendor/``) reads nothing else and writes text as text, never as markup. Without a script it is not
there, and the still maps below it say the same at the peaks.
"""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from majorant.findings.facts import Findings
from majorant.forward.surfaces import Surfaces
from majorant.report.cells import Cells
from majorant.report.colour import DIVERGING
from majorant.report.payload import MOST_SAMPLES, Explored, explorer_data, safe_json
from majorant.report.templating import template
from majorant.report.topography import BOX
from majorant.words import number

__all__ = ["explorer", "worth_exploring"]

VIEWS = (
    ("left-outer", "Left"),
    ("left-inner", "Left, inner"),
    ("right-outer", "Right"),
    ("right-inner", "Right, inner"),
    ("above", "Above"),
    ("below", "Below"),
    ("front", "Front"),
    ("behind", "Behind"),
)
CHOICES = (
    ("View", "view", VIEWS),
    ("Hemispheres", "hemispheres", (("left", "Left"), ("both", "Both"), ("right", "Right"))),
    ("Surface", "surface", (("folded", "Folded"), ("inflated", "Inflated"))),
)
MAPS = (
    "Map",
    "map",
    (
        ("estimate", "Estimate"),
        ("deviation", "Uncertainty"),
        ("ratio", "Estimate over uncertainty"),
    ),
)
HEADS = ("recorded", "explained", "unexplained")
PLANES = ("sagittal", "coronal", "axial")
KEYS = (
    ("Space", "plays and pauses; , and . step through time"),
    ("Arrows", "turn the cortex once it is chosen (Tab, or a click); + and − zoom"),
    ("Enter", "selects the region in the middle of the cortex"),
    ("S", "saves the picture"),
    ("N", "selects the region that is next in strength; with Shift, the one before"),
    ("1 – 8", "are the views, from left to behind"),
)


def worth_exploring(content: Findings) -> bool:
    """Whether there is anything to turn: an estimate that is not zero."""
    return bool(np.any(content.sources.values))


def explorer(
    content: Explored, cells: Cells, surfaces: Surfaces, most: int = MOST_SAMPLES
) -> Markup:
    """Return one explorer; a page may hold several, with one cortex that its frame holds.

    Parameters
    ----------
    content : Explored
        Whose maps are not zero everywhere.
    cells : Cells
    surfaces : Surfaces
    most : int
        Samples that it holds.
    """
    data, doubt = explorer_data(content, cells, surfaces, most), content.uncertainty
    return template("explorer").explorer(
        data=Markup(safe_json(data)),
        heads=HEADS if data["head"] is not None else (),
        still=len(content.times) == 1,
        choices=CHOICES if doubt is None else (*CHOICES, MAPS),
        stands=doubt is not None and doubt.stands is not None,
        gradient=DIVERGING.ramp(),
        box=BOX,
        notes=_notes(content, cells, data, most),
        keys=KEYS,
        planes=PLANES,
    )


def _notes(content: Explored, cells: Cells, data: dict[str, object], most: int) -> str:
    """Return what is drawn, and what was left out."""
    maps, notes = content.sources, []
    if maps.atlas:
        notes.append(f"Names: the atlas {maps.atlas}, a guide near borders.")
    if maps.parcels is None and len(cells.location) < len(maps.values):
        notes.append(
            f"The {len(maps.values):,} locations are gathered into {len(cells.location):,} "
            "regions; each shows its strongest location."
        )
    notes.append("Colours blend where regions meet.")
    kept = len(data["times"]) if isinstance(data["times"], list) else 0
    if kept < len(content.times):
        notes.append(
            f"Of {len(content.times):,} samples, {kept} are shown (evenly spread, {most} "
            "at most, and the peaks); the files hold all of them."
        )
    if content.uncertainty is not None:
        notes.append(f"Bands: one {content.uncertainty.name} to each side.")
        if content.uncertainty.stands is not None:
            notes.append(
                f"Noise alone stays below {number(content.uncertainty.stands, 2)} of them all over "
                "the map in nineteen recordings of twenty."
            )
    if content.truth:
        notes.append("Crosses: simulated sources.")
    if any(content.doubts):
        notes.append("Pale rings: something speaks against these peaks.")
    notes.append(
        "Slices: MNI152, left is left. The lines are scalp, inner skull and cortex of the "
        "template, no picture of this head; colour where the plane cuts the cortex."
    )
    return " ".join(notes)
