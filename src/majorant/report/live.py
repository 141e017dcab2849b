"""The interactive section: a cortex to turn, linked to time, head maps and time courses.

Everything it shows comes from one JSON block within it; its script (``script/``, with three.js from
``vendor/``) reads nothing else and writes text as text, never as markup. Without a script it is not
there, and the still maps below it say the same at the peaks.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from importlib import resources

import numpy as np

from majorant.findings.facts import PageContent
from majorant.forward.surfaces import Surfaces
from majorant.report.cells import Cells
from majorant.report.parts import Section
from majorant.report.payload import MOST_SAMPLES, explorer_data, safe_json, surface_data
from majorant.report.topography import BOX, gradient
from majorant.words import escape, number

__all__ = ["explorer", "live_section", "script_sources", "surface_block", "worth_exploring"]

SCRIPTS = ("decode", "paint", "scene", "head", "chart", "explorer")
"""The parts of the script, in order."""
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
HEADS = ("recorded", "explained", "unexplained")
KEYS = (
    ("Space", "plays and pauses; , and . step through time"),
    ("Arrows", "turn the cortex once it is chosen (Tab, or a click); + and − zoom"),
    ("Enter", "selects the region in the middle of the cortex"),
    ("N", "selects the region that is next in strength; with Shift, the one before"),
    ("1 – 8", "are the views, from left to behind"),
)


def worth_exploring(content: PageContent) -> bool:
    """Whether there is anything to turn: an estimate that is not zero."""
    return bool(np.any(content.sources.values))


def live_section(content: PageContent, cells: Cells, surfaces: Surfaces) -> Section:
    """Return the interactive section of a page."""
    return Section("explore", "Explore", explorer(content, cells, surfaces))


def explorer(
    content: PageContent, cells: Cells, surfaces: Surfaces, most: int = MOST_SAMPLES
) -> str:
    """Return one explorer; a page may hold several, with one :func:`surface_block`.

    Parameters
    ----------
    content : PageContent
        Whose estimate is not zero everywhere.
    cells : Cells
    surfaces : Surfaces
    most : int
        Samples that it holds.
    """
    data = explorer_data(content, cells, surfaces, most)
    with_heads = data["head"] is not None
    still = len(content.times) == 1
    return (
        '<noscript><p class="lead">Turning the cortex needs scripts, which are switched off here. '
        "The maps below show the same at the peaks.</p></noscript>\n"
        f'<div class="explorer" hidden><script type="application/json">{safe_json(data)}</script>\n'
        f'<div class="board{"" if with_heads else " alone"}">{_stage()}'
        f"{_heads() if with_heads else ''}</div>\n{_time(still)}{_choices(content)}"
        f"{_region(still)}{_notes(content, cells, data, most)}</div>\n"
    )


def surface_block(surfaces: Surfaces) -> str:
    """Return the cortex that the explorers of a page share."""
    data = safe_json(surface_data(surfaces))
    return f'<script type="application/json" id="surface">{data}</script>\n'


@cache
def script_sources() -> tuple[tuple[str, str], ...]:
    """Return the scripts of a page and the hashes by which its policy lets them run.

    Returns
    -------
    tuple of (str, str)
        Text, and ``sha256-…`` of it in base64.
    """
    folder = resources.files("majorant.report")
    library = folder.joinpath("vendor", "three.min.js").read_text("utf-8")
    parts = [folder.joinpath("script", f"{name}.js").read_text("utf-8") for name in SCRIPTS]
    own = f'(() => {{\n"use strict";\n{"".join(parts)}}})();\n'
    return tuple((text, _hash(text)) for text in (library, own))


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


def _stage() -> str:
    label = (
        "The cortex in three dimensions. Arrow keys turn it, plus and minus zoom, Enter selects "
        "the region in the middle."
    )
    return (
        f'<div class="stage" data-part="stage"><canvas tabindex="0" role="application" '
        f'aria-label="{label}"></canvas><p class="when" data-part="when"></p>'
        '<div class="compass" data-part="compass" aria-hidden="true"></div>'
        '<p class="no3d" data-part="no3d" hidden>This browser draws nothing in three dimensions '
        "(WebGL is off). Time courses and head maps work; the still maps are below.</p></div>\n"
    )


def _heads() -> str:
    maps = "".join(
        f'<figure><div class="disc"><canvas data-head="{name}" role="img" '
        f'aria-label="Potentials over the head, {name}, at the time shown"></canvas>'
        f'<svg viewBox="{BOX}" aria-hidden="true"><use href="#head"/></svg></div>'
        f"<figcaption>{name}</figcaption></figure>"
        for name in HEADS
    )
    return (
        f'<div class="side">{maps}<div class="bar"><div class="ramp" style="background:'
        f'{gradient()}"></div><div class="ticks"><span>−</span><span>potential</span>'
        "<span>+</span></div></div></div>\n"
    )


def _time(still: bool) -> str:
    hidden = " hidden" if still else ""
    return (
        f'<div class="time"{hidden}><button type="button" class="play" data-part="play" '
        'aria-label="Play"></button><input type="range" data-part="time" min="0" step="1" '
        'value="0" aria-label="Time"></div>\n'
    )


def _choices(content: PageContent) -> str:
    """Return the buttons and the colour bar with its threshold."""
    groups = [
        ("View", "view", VIEWS),
        ("Hemispheres", "hemispheres", (("left", "Left"), ("both", "Both"), ("right", "Right"))),
        ("Surface", "surface", (("folded", "Folded"), ("inflated", "Inflated"))),
    ]
    if content.uncertainty is not None:
        maps = (
            ("estimate", "Estimate"),
            ("deviation", "Uncertainty"),
            ("ratio", "Estimate over uncertainty"),
        )
        groups.append(("Map", "map", maps))
    sets = "".join(
        f'<div class="set" role="group" aria-label="{name}"><span>{name}</span><div>'
        + "".join(
            f'<button type="button" data-{key}="{value}" aria-pressed="false">{text}</button>'
            for value, text in options
        )
        + "</div></div>"
        for name, key, options in groups
    )
    noise = ""
    if content.uncertainty is not None and content.uncertainty.stands is not None:
        noise = '<i data-part="noise" title="Noise alone stays below this" hidden></i>'
    return (
        '<div class="bench"><div class="colours"><div class="bar"><div class="ramp" '
        f'data-part="ramp">{noise}</div><div class="ticks"><span data-part="low"></span>'
        '<span data-part="middle"></span><span data-part="high"></span></div>'
        '<div data-part="axis"></div></div><label><span>Threshold: '
        '<b data-part="threshold-says"></b></span><input type="range" data-part="threshold" '
        f'min="0" max="95" step="1"></label></div>\n<div class="sets">{sets}</div></div>\n'
    )


def _region(still: bool) -> str:
    hidden = " hidden" if still else ""
    return (
        '<div class="region"><div class="chosen"><h3 data-part="place"></h3>'
        '<p><span data-part="value" class="value"></span> <span data-part="beside"></span></p>'
        '<p data-part="mni"></p><div class="peaks" data-part="peaks" role="group" '
        'aria-label="Peaks"></div></div>\n'
        f'<div class="charts"{hidden}><div><svg class="chart" data-part="course" data-height="220" '
        'role="img" aria-label="Time course of the region chosen"></svg></div>'
        '<div><svg class="chart" data-part="field" data-height="132" role="img" '
        'aria-label="Root mean square over channels, recorded and unexplained"></svg></div></div>'
        '</div>\n<p class="told" data-part="told" aria-live="polite"></p>\n'
    )


def _notes(content: PageContent, cells: Cells, data: dict[str, object], most: int) -> str:
    """Return what is drawn, what was left out, and the keys."""
    maps, notes = content.sources, []
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
    keys = "".join(f"<dt>{escape(key)}</dt><dd>{escape(what)}</dd>" for key, what in KEYS)
    return (
        f'<p class="lead notes">{escape(" ".join(notes))}</p>\n'
        f'<details class="keys"><summary>Keyboard</summary><dl>{keys}</dl></details>\n'
    )
