"""How sure the estimate is: the map of standard deviations, and how many of them it reaches."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from majorant.findings.facts import Findings, Uncertainty
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil, ramp
from majorant.report.headline import source_scale
from majorant.report.maps import PLACES
from majorant.report.parts import Section, colour_bar, paragraphs
from majorant.report.pictures import still
from majorant.report.spread import spread
from majorant.report.templating import template
from majorant.words import (
    clock,
    instant,
    number,
)

__all__ = ["doubt_section"]


def doubt_section(content: Findings, doubt: Uncertainty, cortex: Cortex) -> Section:
    """Return what the standard deviations are, what stands out of them, and their map."""
    says = paragraphs(_stands(content, doubt), doubt.how)
    return Section("doubt", "How sure it is", says + _map(content, doubt, cortex))


def _stands(content: Findings, doubt: Uncertainty) -> str:
    """Say how many standard deviations the peaks are, against what noise reaches."""
    if content.faint:
        return content.faint
    if not content.peaks:
        return "No peak stands out, so there is nothing to be sure of."
    ratios = []
    for peak in content.peaks:
        deviation = content.deviation_at(peak)
        ratios.append(abs(peak.amplitude) / deviation if deviation else 0.0)
    lead = f"The strongest peak is {number(ratios[0], 2)} times its {doubt.name}"
    if doubt.noise is not None:
        first = content.peaks[0]
        over = abs(first.amplitude) / max(float(doubt.own[first.location].max()), 1e-300)
        return (
            f"{lead}, which is also of where the source is, and {number(over, 2)} times "
            f"{doubt.measure}; noise alone reaches {number(doubt.needed, 2)}."
        )
    lead = f"{lead}."
    if doubt.stands is None:
        return lead
    above = [str(rank) for rank, ratio in enumerate(ratios, 1) if ratio >= doubt.stands]
    below = [str(rank) for rank, ratio in enumerate(ratios, 1) if ratio < doubt.stands]
    out = f" Noise alone reaches {number(doubt.stands, 2)} in one recording of twenty at most"
    if not below:
        return f"{lead}{out}: all peaks stand out from it."
    if not above:
        return f"{lead}{out}: no listed peak stands out from it."
    plural = "s" if len(above) > 1 else ""
    return (
        f"{lead}{out}: peak{plural} {', '.join(above)} stand{'' if plural else 's'} out from it, "
        f"{', '.join(below)} may be noise."
    )


def _map(content: Findings, doubt: Uncertainty, cortex: Cortex) -> Markup:
    """Return the deviations at the strongest moment, or at all times where they do not change."""
    moment = content.moments()[0]
    column = moment.sample if doubt.deviation.shape[1] > 1 else 0
    values = doubt.deviation[:, [column]]
    limit = float(values.max(initial=0.0))
    if limit == 0:
        return paragraphs("There is no map: the deviation is zero everywhere.")
    on_mesh = spread(content.sources, values, cortex.surfaces.faces)[..., 0]
    largest = float(np.abs(content.sources.values).max(initial=0.0))
    unit = source_scale(content.sources, largest)
    scale, bare = Scale(limit, signed=False, doubt=True), Veil(-1.0, 0.0)
    when = instant(moment.time, clock(content.times))
    at = f"at {when}" if doubt.deviation.shape[1] > 1 else "at all times"
    said = f"the {doubt.name} {at}"
    pictures = [
        (
            order,
            still(cortex.small.draw(view, on_mesh, scale, bare), f"Cortex, {view.name}: {said}"),
            view.name,
        )
        for view, order in zip(VIEWS, PLACES, strict=True)
    ]
    axis = f"{doubt.name[:1].upper()}{doubt.name[1:]} ({unit.label.strip('()')})"
    caption = f"The {doubt.name} {at}: from dark (small) to pale (large)."
    bar = colour_bar(ramp(scale), ("0", number(limit * unit.factor)), axis)
    return bar + template("image").maps("doubt", None, "", pictures, False, caption)
