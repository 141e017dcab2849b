"""`compare.html`: all solvers on one page, on the same views at the same times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from majorant.compare.plots import strengths
from majorant.compare.run import Comparison, Entry, Moment
from majorant.compare.words import headline, site
from majorant.forward.surfaces import Surfaces
from majorant.problem import Certificate
from majorant.registry import SOLVERS
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil, View, colours, ramp
from majorant.report.headline import source_scale
from majorant.report.marks import Mark
from majorant.report.parts import Section, cautions, figure, linked, opening, table
from majorant.report.pictures import data_uri
from majorant.report.shade import BLUE, GREEN, Palette
from majorant.report.sheet import colour_bar, render_sheet, tabs
from majorant.words import (
    clock,
    escape,
    instant,
    mni,
    number,
    percent,
    written,
)

__all__ = ["HIDDEN", "SHOWN", "render_comparison", "shown_map"]

HEIGHT = 264
SHOWN: tuple[View, ...] = tuple(VIEWS[i] for i in (0, 1, 3, 4))
HIDDEN, CLEAR = 0.3, 0.5
"""Shares of a map's maximum between which its colour fades in."""
FAR_MM = 80.0
FEW = 30
"""Vertices up to which a map is drawn as dots."""
DARK = 0.55


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
        ramp(Scale(1.0, signed=False)),
        ("0", "50", "100"),
        "Share of the solver’s own largest value at that moment (%)",
    )
    lead = (
        "Each row is a solver, each column a view. Solvers have units of their own, so every map "
        f"is drawn as a share of its own maximum; colour fades in from {100 * HIDDEN:.0f} to "
        f"{100 * CLEAR:.0f} %. Ring: its strongest location."
    )
    order = sorted(range(len(panels)), key=lambda i: found.moments[i].time)
    body = tabs("moment", "Time", [panels[i] for i in order], order.index(0))
    sections = [
        Section("cortices", "Side by side", f'<p class="lead">{lead}</p>{key}{body}'),
        Section("course", "Over time", figure(strengths(found))),
        Section("fits", "What each explains and promises", _fits(found)),
        Section("method", "How this was made", _method(found, command)),
        Section("cite", "How to cite", _citing(found)),
    ]
    return render_sheet(f"{found.prepared.title} · comparison", _header(found), sections)


def _when(found: Comparison, moment: Moment) -> str:
    return instant(moment.time, clock(np.asarray(found.prepared.evoked.times)))


def _header(found: Comparison) -> str:
    first, second = headline(found)
    content = found.entries[0].result.content
    clk = clock(content.times)
    origin = (
        f"{len(found.entries)} solvers on {len(content.data)} electrodes, "
        f"{instant(content.times[0], clk)} to {instant(content.times[-1], clk)}"
    )
    opened = opening(found.prepared.title, origin, first, second)
    return f"{opened}{_cautions(found)}"


def _cautions(found: Comparison) -> str:
    """What was left out, and the cautions of the solvers, those of all said once."""
    said = [f"{SOLVERS[name].title} was left out: {why}." for name, why in found.left_out.items()]
    own = {entry.title: entry.result.content.cautions for entry in found.entries}
    texts = dict.fromkeys(text for said_by in own.values() for text in said_by)
    who = {text: [name for name in own if text in own[name]] for text in texts}
    said += [text for text in texts if len(who[text]) == len(own)]
    said += [f"{', '.join(who[t])}: {t}" for t in texts if len(who[t]) < len(own)]
    return cautions(said)


def _panel(found: Comparison, moment: Moment, cortex: Cortex) -> str:
    """Everything at one time: the cortices, and how far they agree."""
    heads = "".join(f'<span class="head">{escape(view.name)}</span>' for view in SHOWN)
    rows = "".join(
        _row(entry, moment, i, cortex, _when(found, moment))
        for i, entry in enumerate(found.entries)
    )
    stack = f'<div class="stack"><span></span>{heads}{rows}</div>'
    if len(found.entries) == 1:
        return stack
    titles = [entry.title for entry in found.entries]
    own = moment.agreement
    agree = (
        _matrix(
            titles,
            own.correlation,
            "Correlation of the maps",
            "no unit; 1 is the same shape",
            lambda v: (v + 0.2) / 1.2,
            GREEN,
            ".2f",
        ),
        _matrix(
            titles,
            own.transport,
            "Distance of the activity",
            "earth mover’s distance, mm",
            lambda v: v / FAR_MM,
            BLUE,
            ".0f",
        ),
        _matrix(
            titles,
            own.peaks,
            "Distance of the strongest places",
            "mm",
            lambda v: v / FAR_MM,
            BLUE,
            ".0f",
        ),
    )
    return f"{stack}<h3>How far they agree</h3>{_together(agree, len(titles))}"


def _together(parts: Sequence[str], n: int) -> str:
    """Matrices side by side where they fit."""
    return f'<div class="solo" style="--least:{95 * n}px">{"".join(parts)}</div>'


def _row(entry: Entry, moment: Moment, i: int, cortex: Cortex, when: str) -> str:
    mesh = moment.meshes[i]
    largest = float(np.nanmax(mesh, initial=0.0))
    maps = entry.result.content.sources
    unit = source_scale(maps, largest)
    said = (
        f"{unit.say(largest)}<br>{escape(site(moment, i))}<br>"
        f"({mni((moment.peaks[i, 0], moment.peaks[i, 1], moment.peaks[i, 2]))})"
        if largest > 0
        else "zero everywhere"
    )
    cells = []
    for view in SHOWN:
        image = shown_map(cortex, view, mesh, moment, i)
        alt = escape(f"{entry.title} at {when}, {view.name}")
        cells.append(
            f'<img src="{data_uri(image)}" width="{image.width}" height="{image.height}" '
            f'alt="{alt}">'
        )
    return f'<span class="who">{escape(entry.title)}<small>{said}</small></span>{"".join(cells)}'


def shown_map(
    cortex: Cortex, view: View, mesh: NDArray[np.float64], moment: Moment, i: int
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
    tints = np.rint(255 * colours(share[tuple(strong.T)], scale)).astype(int)
    codes = ["#{:02x}{:02x}{:02x}".format(*tint) for tint in tints]
    return [
        Mark(int(side), int(vertex), "dot", colour=code)
        for (side, vertex), code in zip(strong, codes, strict=True)
    ]


def _matrix(
    titles: Sequence[str],
    values: NDArray[np.float64],
    name: str,
    unit: str,
    share: Callable[[float], float],
    palette: Palette,
    spec: str,
) -> str:
    """A table of all pairs, the upper half left out."""
    heads = "".join(f'<th scope="col">{escape(t)}</th>' for t in titles[:-1])
    rows = []
    for i, title in enumerate(titles[1:], 1):
        cells = []
        for j in range(len(titles) - 1):
            value = float(values[i, j])
            if j >= i:
                cells.append("<td></td>")
            elif not np.isfinite(value):
                cells.append("<td>none</td>")
            else:
                at = min(max(share(value), 0.0), 1.0)
                dark = at < 1 - DARK if palette is GREEN else at > DARK
                ink = "#ffffff" if dark else "#171b20"
                cells.append(
                    f'<td class="tinted" style="background:{palette.tint(at)};--on:{ink}">'
                    f"<b>{written(value, spec)}</b></td>"
                )
        rows.append(f'<tr><th scope="row">{escape(title)}</th>{"".join(cells)}</tr>')
    return (
        f'<div class="pair"><p><b>{escape(name)}</b> ({escape(unit)})</p><div class="wide">'
        f'<table class="heat" aria-label="{escape(name)}"><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></div>"
    )


def _fits(found: Comparison) -> str:
    sample = found.moments[0].sample
    heads = (
        "Solver",
        "Explains (window)",
        f"at {_when(found, found.moments[0])}",
        "Unexplained, RMS (µV)",
        "Log evidence",
        "Time (s)",
        "Certificate",
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
            )
        )
    caption = (
        "Explained: share of the recorded variance. Of statistics (sLORETA, dSPM, LCMV) it is "
        "that of the minimum-norm currents behind them. Explaining more is no merit by itself: "
        "noise can be explained, too. Log evidence is comparable between solvers of one source "
        "space only. Time: from the prepared recording to the estimate, with the head at hand."
    )
    return table(heads, rows, caption, numeric=(1, 2, 3, 4, 5))


def _kept(proof: Certificate) -> str:
    """The certificate in a few words."""
    if proof.residual is not None:
        return f"closed form, residual {number(float(proof.residual.max()), 2)}"
    steps = proof.energy.shape[0] - 1
    rises = int(proof.violations.sum())
    verdict = "never rose" if rises == 0 else f"rose {rises} times"
    return f"{proof.energy_name} {verdict} over {steps} accepted iterates"


def _method(found: Comparison, command: str) -> str:
    text = (
        "All solvers saw the same prepared recording and the same noise covariance, each in its "
        "own source space, with its own defaults. The times are the largest maxima of the global "
        "field power (the standard deviation over electrodes), at least 40 ms apart, unless others "
        "were asked for; they do not depend on any solver. For the agreement, magnitudes were "
        "gathered on the 994 regions of the template. Strongest places are compared in MNI152 "
        "coordinates."
    )
    common = found.prepared.decisions
    steps = "".join(f"<li>{escape(line)}</li>" for line in common)
    own = "".join(
        f'<h3>{escape(e.title)}</h3><ol class="steps">'
        + "".join(
            f"<li>{escape(line)}</li>" for line in e.result.content.decisions if line not in common
        )
        + "</ol>"
        for e in found.entries
    )
    return (
        f"<p>{escape(text)}</p><p>This command makes this page again:</p>"
        f'<pre class="copy" tabindex="0">{escape(command)}</pre>'
        f'<h3>The recording</h3><ol class="steps">{steps}</ol>{own}'
    )


def _citing(found: Comparison) -> str:
    lines = [line for entry in found.entries for line in entry.result.content.citations]
    text = "\n".join(linked(line) for line in dict.fromkeys(lines))
    return f'<p>One click selects all of it.</p><pre class="copy" tabindex="0">{text}</pre>'
