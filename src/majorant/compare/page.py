"""`compare.html`: all solvers on one page, on the same views at the same times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL.Image import Image

from majorant.compare.plots import strengths
from majorant.compare.run import ComparedMoment, Comparison, Contender
from majorant.compare.words import headline, site, smallest_region
from majorant.forward.surfaces import Surfaces
from majorant.problem import Certificate
from majorant.registry import SOLVERS
from majorant.report.colour import BLUE, GREEN, WARM, Palette, hex_codes
from majorant.report.cortex import SIDES, Cortex, Scale, Veil, View, colours
from majorant.report.frame import framed
from majorant.report.headline import source_scale
from majorant.report.marks import Mark
from majorant.report.parts import (
    HeatCell,
    Section,
    StackRow,
    cautions,
    citations,
    colour_bar,
    figure,
    lead,
    opening,
    paragraphs,
    shared_cautions,
    stack,
    table,
    tabs,
)
from majorant.report.pictures import still
from majorant.report.templating import template
from majorant.words import clock, instant, mni, number, percent, written

__all__ = ["HIDDEN", "render_comparison", "shown_map"]

HEIGHT = 264
HIDDEN, CLEAR = 0.3, 0.5
"""Shares of a map's maximum between which its colour fades in."""
FAR_MM = 80.0
FEW = 30
"""Vertices up to which a map is drawn as dots."""


def render_comparison(
    found: Comparison, surfaces: Surfaces, command: str, progress: Callable[[int, int], None]
) -> str:
    """Return the page.

    Parameters
    ----------
    found : Comparison
    surfaces : Surfaces
    command : str
        What was typed.
    progress : callable
        Called with (moments drawn, moments in all).
    """
    cortex = Cortex(surfaces, HEIGHT)
    panels = []
    for i, moment in enumerate(found.moments):
        panels.append((_when(found, moment), _panel(found, moment, cortex)))
        progress(i + 1, len(found.moments))
    key = colour_bar(
        WARM.ramp(),
        ("0", "50", "100"),
        "Share of the solver’s own largest value at that moment (%)",
        "key",
    )
    says = (
        "Each row is a solver, each column a view. Solvers have units of their own, so every map "
        f"is drawn as a share of its own maximum; colour fades in from {100 * HIDDEN:.0f} to "
        f"{100 * CLEAR:.0f} %. Ring: its strongest location."
    )
    order = sorted(range(len(panels)), key=lambda i: found.moments[i].time)
    body = tabs("moment", "Time", [panels[i] for i in order], order.index(0))
    cited = [line for entry in found.entries for line in entry.result.content.citations]
    sections = [
        Section("cortices", "Side by side", lead(says) + key + body),
        Section("course", "Over time", figure(strengths(found))),
        Section("fits", "What each explains and promises", _fits(found)),
        Section("method", "How this was made", _method(found, command)),
        Section("cite", "How to cite", citations(cited)),
    ]
    return framed(f"{found.prepared.title} · comparison", _header(found), sections)


def _when(found: Comparison, moment: ComparedMoment) -> str:
    return instant(moment.time, clock(np.asarray(found.prepared.evoked.times)))


def _header(found: Comparison) -> Markup:
    first, second = headline(found)
    content = found.entries[0].result.content
    clk = clock(content.times)
    origin = (
        f"{len(found.entries)} solvers on {len(content.data)} electrodes, "
        f"{instant(content.times[0], clk)} to {instant(content.times[-1], clk)}"
    )
    return opening(found.prepared.title, origin, first, second) + _cautions(found)


def _cautions(found: Comparison) -> Markup:
    """What was left out, and the cautions of the solvers, those of all said once."""
    said = [f"{SOLVERS[name].title} was left out: {why}." for name, why in found.left_out.items()]
    own = {entry.title: entry.result.content.cautions for entry in found.entries}
    return cautions(said + shared_cautions(own))


def _panel(found: Comparison, moment: ComparedMoment, cortex: Cortex) -> Markup:
    """Everything at one time: the cortices, and how far they agree."""
    rows = [
        _row(entry, moment, i, cortex, _when(found, moment))
        for i, entry in enumerate(found.entries)
    ]
    shown = stack([view.name for view in SIDES], rows)
    if len(found.entries) == 1:
        return shown
    titles, own = [entry.title for entry in found.entries], moment.agreement
    pairs = (
        _Pairs("Correlation of the maps", "no unit; 1 is the same shape",
               own.correlation, (-0.2, 1.0), GREEN, ".2f"),
        _Pairs("Distance of the activity", "earth mover’s distance, mm",
               own.transport, (0.0, FAR_MM), BLUE, ".0f"),
        _Pairs("Distance of the strongest places", "mm",
               own.peaks, (0.0, FAR_MM), BLUE, ".0f"),
    )  # fmt: skip
    return shown + template("compare").agreement(
        [pair.shown(titles) for pair in pairs], 95 * len(titles)
    )


def _row(entry: Contender, moment: ComparedMoment, i: int, cortex: Cortex, when: str) -> StackRow:
    mesh = moment.meshes[i]
    largest = float(np.nanmax(mesh, initial=0.0))
    unit = source_scale(entry.result.content.sources, largest)
    says = ("zero everywhere",)
    if largest > 0:
        x, y, z = (float(v) for v in moment.peaks[i])
        says = (unit.say(largest), site(moment, i), f"({mni((x, y, z))})")
    pictures = [
        still(shown_map(cortex, view, mesh, moment, i), f"{entry.title} at {when}, {view.name}")
        for view in SIDES
    ]
    return StackRow(entry.title, says, tuple(pictures))


def shown_map(
    cortex: Cortex, view: View, mesh: NDArray[np.float64], moment: ComparedMoment, i: int
) -> Image:
    """Draw a solver's map as a share of its own maximum, with a ring at the maximum."""
    largest = float(np.nanmax(mesh, initial=0.0))
    share = mesh / largest if largest > 0 else mesh
    scale = Scale(1.0, signed=False)
    marks = _dots(share, scale)
    if largest > 0:
        marks.append(Mark(int(moment.vertices[i, 0]), int(moment.vertices[i, 1])))
    return cortex.draw(view, share, scale, Veil(HIDDEN, CLEAR), marks, 1.3)


def _dots(share: NDArray[np.float64], scale: Scale) -> list[Mark]:
    """Return a dot for every coloured vertex if they are so few that a map would hide them."""
    strong = np.argwhere(share >= CLEAR)
    if len(strong) > FEW:
        return []
    codes = hex_codes(colours(share[tuple(strong.T)], scale))
    return [
        Mark(int(side), int(vertex), "dot", colour=code)
        for (side, vertex), code in zip(strong, codes, strict=True)
    ]


@dataclass(frozen=True)
class _Pairs:
    """A number for every pair of solvers, and the values of the first and the last colour."""

    name: str
    unit: str
    values: NDArray[np.float64]
    ends: tuple[float, float]
    palette: Palette
    spec: str

    def shown(self, titles: Sequence[str]) -> dict[str, object]:
        """Return the table of all pairs, its upper half left out."""
        rows = [
            (title, [self._cell(i, j) for j in range(len(titles) - 1)])
            for i, title in enumerate(titles[1:], 1)
        ]
        return {"name": self.name, "unit": self.unit, "heads": titles[:-1], "rows": rows}

    def _cell(self, i: int, j: int) -> HeatCell:
        value = float(self.values[i, j])
        if j >= i:
            return HeatCell()
        if not np.isfinite(value):
            return HeatCell("none")
        low, high = self.ends
        at = min(max((value - low) / (high - low), 0.0), 1.0)
        tint, ink = self.palette.tint(at), self.palette.ink(at)
        return HeatCell(written(value, self.spec), tint=tint, ink=ink)


def _fits(found: Comparison) -> Markup:
    sample = found.moments[0].sample
    heads = (
        "Solver",
        "Explains (window)",
        f"at {_when(found, found.moments[0])}",
        "Unexplained, RMS (µV)",
        "Log evidence",
        "Time (s)",
        "Certificate",
        "Region (cm²)",
    )
    rows = []
    for entry in found.entries:
        content = entry.result.content
        left = 1e6 * float(np.sqrt(np.mean((content.data - content.predicted) ** 2)))
        rows.append(
            (
                entry.title,
                percent(entry.result.explained),
                percent(float(content.explained[sample])),
                number(left, 2),
                "not defined" if entry.evidence is None else number(entry.evidence, 6),
                number(entry.seconds, 2),
                _kept(content.certificate),
                "" if entry.region is None else number(max(entry.region.area_cm2, 1.0), 2),
            )
        )
    caption = (
        "Explained: share of the recorded variance. Of statistics (sLORETA, dSPM, LCMV) it is "
        "that of the minimum-norm currents behind them. Explaining more is no merit by itself: "
        "noise can be explained, too. Log evidence is comparable between solvers of one source "
        "space only. Time: from the prepared recording to the estimate, with the head at hand."
    )
    if not any(row[-1] for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    says = paragraphs(smallest_region(found)) if smallest_region(found) else Markup()
    return says + table(heads, rows, caption, numeric=(1, 2, 3, 4, 5, 7))


def _kept(proof: Certificate) -> str:
    """The certificate in a few words."""
    if proof.residual is not None:
        return f"closed form, residual {number(float(proof.residual.max()), 2)}"
    steps = proof.energy.shape[0] - 1
    rises = int(proof.violations.sum())
    verdict = "never rose" if rises == 0 else f"rose {rises} times"
    return f"{proof.energy_name} {verdict} over {steps} accepted iterates"


def _method(found: Comparison, command: str) -> Markup:
    text = (
        "All solvers saw the same prepared recording and the same noise covariance, each in its "
        "own source space, with its own defaults. The times are the largest maxima of the global "
        "field power (the standard deviation over electrodes), at least 40 ms apart, unless others "
        "were asked for; they do not depend on any solver. For the agreement, magnitudes were "
        "gathered on the 994 regions of the template. Strongest places are compared in MNI152 "
        "coordinates."
    )
    common = found.prepared.decisions
    own = [
        (e.title, [line for line in e.result.content.decisions if line not in common])
        for e in found.entries
    ]
    return template("compare").method(text, command, common, own)
