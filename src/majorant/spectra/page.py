"""`report.html` of a band: its power on the cortex, the spectrum, the places, what was decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from majorant.findings.facts import Peak
from majorant.forward.template import template_surfaces
from majorant.imaging.image import shown_settings
from majorant.imaging.result import citations as cited
from majorant.imaging.result import versions
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil, ramp
from majorant.report.figures import Drawing, panels
from majorant.report.frame import framed
from majorant.report.headline import place
from majorant.report.maps import PLACES
from majorant.report.marks import Mark
from majorant.report.parts import (
    Section,
    cautions,
    citations,
    colour_bar,
    facts,
    figure,
    lead,
    opening,
    paragraphs,
    steps,
    table,
    tabs,
)
from majorant.report.pictures import still
from majorant.report.spread import spread
from majorant.report.svg import COLOUR, drawing, to_svg
from majorant.report.templating import template
from majorant.spectra.matrix import links_section
from majorant.spectra.power import PowerMap
from majorant.words import THIN, Scaled, calm, mni, number, percent

__all__ = ["headline", "power_scale", "render_power", "spectral_citations"]

HEIGHT = 440
HIDDEN, CLEAR = 0.35, 0.65
"""Shares of a map's largest value between which its colour fades in: power spreads widely."""
LISTED = 15
WELCH = "Welch (1967), doi:10.1109/TAU.1967.1161901"


def power_scale(found: PowerMap) -> Scaled:
    """The unit in which power is written."""
    if found.imager.unit_ != "Am":
        label = f"{found.imager.unit_}²/Hz"
        return Scaled(1.0, label, f"Power ({label})")
    small = float(found.power.max(initial=0.0)) < 1e-20
    label = "(pA m)²/Hz" if small else "(nA m)²/Hz"
    return Scaled(1e24 if small else 1e18, label, f"Power ({label})")


def band_words(band: tuple[float, float]) -> str:
    """A band as one reads it."""
    return f"{band[0]:g} to {band[1]:g}{THIN}Hz"


def headline(found: PowerMap) -> tuple[str, str]:
    """Return what was found: one sentence, and how far it can be leaned on."""
    band = band_words(found.asked.band)
    if not found.peaks:
        return f"Nothing stands out from {band}.", "The map of the power is flat."
    peak, unit = found.peaks[0], power_scale(found)
    first = (
        f"Power from {band} is largest in the {place(peak)} (MNI {mni(peak.mni)}{THIN}mm): "
        f"{unit.say(peak.amplitude)}."
    )
    if found.share is None:
        return first, f"{percent(peak.share)} of the cortex’s power lies within 30{THIN}mm of it."
    own = percent(float(found.share[peak.location]))
    second = f"It is {own} of the power from {band_words(found.whole)} there."
    if found.shares:
        best = found.shares[0]
        second += (
            f" As a share of the whole spectrum, which takes depth and skull out, the band is "
            f"largest in the {place(best)}: {percent(best.amplitude)}."
        )
    return first, second


def spectral_citations(found: PowerMap) -> tuple[str, ...]:
    """What to cite."""
    own = () if found.links is None else found.links.citations
    return (*cited(found.imager), WELCH, *own)


def render_power(found: PowerMap, progress: Callable[[str], None] | None = None) -> str:
    """Return the page as a string of HTML.

    Parameters
    ----------
    found : PowerMap
    progress : callable, optional
        Called with the title of each section once it is drawn.
    """
    cortex, parts = Cortex(template_surfaces(), HEIGHT), []
    for section in _sections(found, cortex):
        parts.append(section)
        if progress is not None:
            progress(section.title)
    band = band_words(found.asked.band)
    return framed(f"{found.prepared.title} · {band}", _header(found), parts)


def _header(found: PowerMap) -> Markup:
    first, second = headline(found)
    origin = (
        f"{found.imager.spec_.title}, {len(found.spectrum)} electrodes, {found.trials} trials, "
        f"{len(found.power):,} places, {band_words(found.asked.band)}"
    )
    pairs = [("Band", band_words(found.asked.band)), ("Trials", str(found.trials))]
    if found.peaks:
        peak = found.peaks[0]
        pairs += [
            ("Most power", place(peak)),
            ("There", power_scale(found).say(peak.amplitude)),
        ]
        if found.share is not None:
            pairs.append(("Of the spectrum there", percent(float(found.share[peak.location]))))
    said = opening(found.prepared.title, origin, first, second) + facts(pairs)
    return said + cautions(found.cautions)


def _sections(found: PowerMap, cortex: Cortex) -> Iterator[Section]:
    yield _maps(found, cortex)
    yield Section("spectrum", "The spectrum", figure(_spectrum(found)))
    yield _peaks(found)
    yield _regions(found)
    if found.links is not None:
        yield links_section(found.links)
    yield Section("decisions", "What was decided", steps(found.decisions))
    yield _settings(found)
    yield Section("cite", "How to cite", citations(spectral_citations(found)))


def _maps(found: PowerMap, cortex: Cortex) -> Section:
    """Every map on all views, one tab each."""
    unit = power_scale(found)
    shown: list[tuple[str, NDArray[np.float64], Sequence[Peak], Scaled, str]] = [
        (
            "Power",
            found.power,
            found.peaks,
            unit,
            "Mean spectral density over the band. Most solvers favour places near the electrodes.",
        ),
    ]
    if found.share is not None:
        whole = band_words(found.whole)
        shown.append(
            (
                "Share of the spectrum",
                found.share,
                found.shares,
                Scaled(100.0, "%", f"Share of {whole} (%)"),
                f"Power of the band over that of {whole} at the same place: what weighs all "
                "frequencies alike, as depth and skull do, drops out.",
            )
        )
    if found.ratio is not None and found.asked.against is not None:
        other = band_words(found.asked.against)
        shown.append(
            (
                f"Over {other}",
                found.ratio,
                (),
                Scaled(1.0, "", f"Power over that of {other} (ratio)"),
                f"Power of the band over that of {other} at the same place.",
            )
        )
    panels = [
        (name, _map(found, cortex, i, values, peaks, scaled, says))
        for i, (name, values, peaks, scaled, says) in enumerate(shown)
    ]
    return Section("cortex", "On the cortex", tabs("maps", "Map", panels))


def _map(
    found: PowerMap,
    cortex: Cortex,
    order: int,
    values: NDArray[np.float64],
    peaks: Sequence[Peak],
    unit: Scaled,
    says: str,
) -> Markup:
    limit = float(values.max(initial=0.0))
    if limit <= 0:
        return paragraphs("There is no map: the power is zero everywhere.")
    scale, maps = Scale(limit, False), found.sources
    on_mesh = spread(maps, values[:, None], cortex.surfaces.faces)[..., 0]
    veil = Veil(HIDDEN * limit, CLEAR * limit)
    marks = [
        Mark(int(maps.hemisphere[p.location]), int(maps.vertices[p.location]), "peak", str(rank))
        for rank, p in enumerate(peaks, 1)
    ]
    pictures = [
        (
            where,
            still(cortex.draw(view, on_mesh, scale, veil, marks), f"Cortex, {view.name}. {says}"),
            view.name,
        )
        for view, where in zip(VIEWS, PLACES, strict=True)
    ]
    ticks = ("0", number(unit.factor * limit))
    caption = (
        f"{says} Largest {number(unit.factor * limit)} {unit.label}; colour fades in from "
        f"{percent(HIDDEN)} to {percent(CLEAR)} of it."
    )
    bar = colour_bar(ramp(scale), ticks, unit.axis)
    return bar + template("image").maps(f"power-{order}", None, "", pictures, True, caption)


def _spectrum(found: PowerMap) -> Drawing:
    """Median and quartiles over the electrodes, the band shaded."""
    x = found.frequencies
    low, middle, high = np.percentile(1e12 * found.spectrum, (25, 50, 75), axis=0)
    with drawing():
        made, (axes,) = panels(3.2, (1,))
        axes.axvspan(*found.asked.band, color=COLOUR["s1"], alpha=0.14, lw=0)
        if found.asked.against is not None:
            axes.axvspan(*found.asked.against, color=COLOUR["s2"], alpha=0.14, lw=0)
        axes.fill_between(x, low, high, color=COLOUR["ink"], alpha=0.16, lw=0)
        axes.plot(x, middle, color=COLOUR["ink"])
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: number(value, 2))
        axes.set_xlim(x[0], x[-1])
        axes.set(xlabel="Frequency (Hz)", ylabel="Density (µV²/Hz)")
        best = int(middle.argmax())
        alt = (
            f"Spectrum over the electrodes from {x[0]:g} to {x[-1]:g} Hz; the median is largest at "
            f"{x[best]:g} Hz with {number(float(middle[best]))} µV²/Hz."
        )
        svg = to_svg(made, "spectrum", alt)
    caption = (
        f"Median and quartiles over {len(found.spectrum)} electrodes, average reference, "
        f"{found.trials} trials."
    )
    bands = [("s1", band_words(found.asked.band))]
    if found.asked.against is not None:
        bands.append(("s2", band_words(found.asked.against)))
    return Drawing("spectrum", svg, caption, tuple(bands))


def _peaks(found: PowerMap) -> Section:
    if not found.peaks:
        return Section("peaks", "Places", paragraphs("No place stands out."))
    unit = power_scale(found)
    heads = ("Rank", "Place", "MNI x, y, z (mm)", unit.axis, "Of the spectrum (%)", "Near it (%)")
    rows = [
        (
            str(rank),
            place(peak),
            mni(peak.mni),
            number(unit.factor * peak.amplitude),
            _percent(None if found.share is None else float(found.share[peak.location])),
            f"{100 * peak.share:.0f}",
        )
        for rank, peak in enumerate(found.peaks, 1)
    ]
    caption = (
        "Local maxima of the power, the largest first. Near it: the share of the cortex’s power in "
        "this band that lies within 30 mm."
    )
    return Section("peaks", "Places", table(heads, rows, caption, (2, 3, 4, 5)))


def _regions(found: PowerMap) -> Section:
    unit = power_scale(found)
    heads = ["Region", "Places", unit.axis, "Of the spectrum (%)"]
    if found.ratio is not None:
        heads.append("Ratio")
    rows = []
    for own in found.regions[:LISTED]:
        power = number(unit.factor * own.power)
        row = [calm(own.name), str(own.locations), power, _percent(own.share)]
        rows.append(row if own.ratio is None else [*row, number(own.ratio)])
    hidden = len(found.regions) - len(rows)
    caption = (
        f"Mean power over the regions of the atlas {calm(found.sources.atlas)}, the largest first."
        f"{f' {hidden} more are in regions.csv.' if hidden else ''}"
    )
    return Section("regions", "Regions", table(heads, rows, caption, (1, 2, 3, 4)))


def _percent(share: float | None) -> str:
    return "" if share is None else number(100 * share, 2)


def _settings(found: PowerMap) -> Section:
    own = {
        "band": band_words(found.asked.band),
        **shown_settings(found.prepared, found.settings, found.imager),
    }
    pairs = [
        table(("", ""), [(k, str(v)) for k, v in entries.items()], caption, kind="pairs full")
        for entries, caption in ((own, "Settings"), (versions(), "Versions"))
    ]
    says = lead(found.imager.certificate_.sentence())
    return Section(
        "settings", "Settings and versions", says + template("image").side_by_side(*pairs)
    )
