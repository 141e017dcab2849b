"""`audit.html`: the headline, what it recommends and why, the maps, the tables, the method."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from majorant import __version__
from majorant.audit.advice import advice, decibels, headline, ranged, title
from majorant.audit.pictures import MapScale, four_sides, map_scales, on_mesh, spans
from majorant.audit.plots import curves, electrode_map
from majorant.audit.regions import Expected
from majorant.audit.suffices import which_suffices
from majorant.audit.summary import ERROR, FALSE, MISSED, Audit
from majorant.audit.tables import change_table, place_table
from majorant.registry import SOLVERS
from majorant.report.colour import GREEN
from majorant.report.frame import framed
from majorant.report.parts import (
    Section,
    cautions,
    citations,
    colour_bar,
    facts,
    figure,
    opening,
    paragraphs,
    table,
    tabs,
)
from majorant.report.pictures import Still
from majorant.report.shade import Shade
from majorant.report.templating import template
from majorant.words import THIN, number, percent, written

__all__ = ["render_audit"]

SMALL = 132
Maps = Mapping[str, NDArray[np.float64]]
TEMPLATE_CITATION = (
    "Fischl, Sereno, Tootell & Dale (1999), High-resolution intersubject averaging (fsaverage), "
    "doi:10.1002/(SICI)1097-0193(1999)8:4<272::AID-HBM10>3.0.CO;2-4"
)
MNE_CITATION = (
    "Gramfort et al. (2013), MEG and EEG data analysis with MNE-Python, "
    "doi:10.3389/fnins.2013.00267"
)


def render_audit(
    audit: Audit,
    maps: Maps,
    shade: Shade,
    command: str,
    progress: Callable[[int, int], None],
) -> str:
    """Return the page.

    Parameters
    ----------
    audit : Audit
    maps : mapping
        By solver, see :func:`majorant.audit.summary.cortex_maps`.
    shade : Shade
        The cortex to draw on.
    command : str
        What was typed.
    progress : callable
        Called with (solvers drawn, solvers in all).
    """
    sections = [
        Section("advice", "What to do", _advice(audit)),
        Section("seen", "What these electrodes see", _seen(audit, shade)),
        Section("maps", "What to expect where", _maps(audit, maps, shade, progress)),
        Section("places", "By lobe and depth", place_table(audit)),
        *_regions(audit),
        Section("levels", "With better recordings", _levels(audit)),
        Section("method", "How this was found", _method(audit, command)),
        Section("cite", "How to cite", _citing(audit)),
    ]
    return framed(f"Audit of {audit.cap.title}", _header(audit), sections)


def _regions(audit: Audit) -> list[Section]:
    """How large regions will be, where that was asked for."""
    if not audit.regions or audit.settings.region is None:
        return []
    solvers = [name for name in audit.ranked() if name in audit.regions]
    sizes = {name: {e.place: e for e in audit.regions[name]} for name in solvers}
    places = dict.fromkeys(e.place for name in solvers for e in audit.regions[name])
    rows = [
        (place, *(_size(sizes[name][place]) if place in sizes[name] else "" for name in solvers))
        for place in places
    ]
    caption = (
        f"Median area in cm² of the region that holds the source of the strongest peak with a "
        f"probability of {percent(audit.settings.region)}, by the lobe of the source, at about "
        f"{decibels(audit.level)}; behind it, of how many simulated recordings. They are those of "
        "majorant image --region: one or two sources of any size, every one on another head."
    )
    heads = ("Place", *(title(name) for name in solvers))
    numeric = range(1, len(heads))
    listed = table(heads, rows, caption, numeric=list(numeric))
    return [Section("regions", "How surely places can be told", listed)]


def _size(expected: Expected) -> str:
    return f"{number(max(expected.area_cm2, 1.0), 2)} ({expected.trials})"


def _header(audit: Audit) -> Markup:
    own, (first, second) = audit.settings, headline(audit)
    lead = audit.head.believed
    what = "regions" if lead.kind == "regions" else "locations"
    origin = (
        f"{audit.cap.n} electrodes, {own.n} simulated patches of {own.extent:g}{THIN}cm² all over "
        f"the cortex, {len(own.snr_levels)} signal-to-noise ratios, {len(audit.solvers)} solvers "
        f"on {lead.n_locations:,} {what}"
    )
    asked = "What EEG source imaging can be expected to find: "
    opened = opening(audit.cap.title, origin, first, second, before=asked)
    return opened + _facts(audit) + _cautions(audit)


def _facts(audit: Audit) -> Markup:
    best = audit.ranked()[0]
    scores = audit.values(best)
    error, missed, false = (audit.estimate(scores[:, k]) for k in (ERROR, MISSED, FALSE))
    within = audit.share(scores[:, ERROR])
    pairs = (
        (f"Found within {audit.settings.goal:g}{THIN}mm", f"{within.mean:.0f}{THIN}%"),
        ("Localisation error", f"{error.mean:.0f}{THIN}mm"),
        ("Missed of the patch", f"{missed.mean:.0f}{THIN}%"),
        ("Falsely active", f"{written(false.mean, '.2g')}{THIN}cm²"),
        ("Solver and level", f"{title(best)}, {decibels(audit.level)}"),
    )
    return facts(pairs)


def _cautions(audit: Audit) -> Markup:
    """What the audit does not say."""
    texts = [audit.head.differs]
    learned = [title(s) for s in audit.solvers if s in ("mm-net", "unfolded-sbl")]
    if learned:
        texts.append(
            f"{' and '.join(learned)} learned from simulated patches on the template, so "
            "simulations of patches flatter them; on real recordings expect less of a lead."
        )
    texts.append(
        "One patch is active at a time, in noise that is the same at every electrode and "
        "independent between them. Several sources at once, background activity of the brain and "
        "a real head raise the errors: these are what to expect at best, not what is guaranteed."
    )
    texts += [f"Left out: {why}" for why in audit.left_out.values()]
    return cautions(texts, "What this does not say")


def _advice(audit: Audit) -> Markup:
    found, listed = which_suffices(audit).advice, advice(audit)
    few = "These simulations are too few to tell anything apart; more patches (--n) would say more."
    said = template("audit").advice((found, *listed))
    return said if listed else paragraphs(few) + said


def _seen(audit: Audit, shade: Shade) -> Markup:
    """The head with its electrodes, and how visible every place is."""
    db = audit.visible_db
    low, high = np.floor(np.quantile(db, 0.02)), np.ceil(np.quantile(db, 0.98))
    mesh = on_mesh(db[:, None], audit.head.places, shade.surfaces)[..., 0]
    what = "Signal-to-noise ratio relative to the median place"
    bar = colour_bar(
        GREEN.ramp(),
        [f"{written(v, '+.3g')} dB" for v in (low, (low + high) / 2, high)],
        f"{what} (dB), for patches of equal strength; dark places hide",
        "key",
    )
    chosen = audit.cap.n < audit.cap.n_offered
    rest = (
        f" Hollow: the other {audit.cap.n_offered - audit.cap.n} of the montage." if chosen else ""
    )
    return template("audit").seen(
        Markup(electrode_map(audit.cap)),
        four_sides(shade, mesh, GREEN, (low, high), what),
        bar,
        f"Left: the electrodes, from above, nose up.{rest} Right: {_hidden(audit)}",
        ", ".join(audit.cap.chosen),
    )


def _hidden(audit: Audit) -> str:
    db = audit.visible_db
    tenth = np.quantile(db, 0.1)
    return (
        f"a patch in the least visible tenth of the cortex gives at least {written(-tenth, '.0f')}"
        f"{THIN}dB less than one in the median place, as if {10 ** (-tenth / 10):.1f} times fewer "
        "trials had been averaged."
    )


def _maps(audit: Audit, maps: Maps, shade: Shade, progress: Callable[[int, int], None]) -> Markup:
    scales, small = map_scales(audit.settings), Shade(shade.surfaces, SMALL)
    levels = audit.settings.snr_levels
    panels: list[list[Markup]] = [[] for _ in levels]
    unsure = []
    for k, solver in enumerate(audit.ranked()):
        for i in range(len(levels)):
            panels[i].append(_solver(audit, solver, i, maps[solver][i], shade))
        unsure.append(_unsure(audit, solver, maps[solver][audit.settings.planning], small))
        progress(k + 1, len(audit.solvers))
    named = [
        (decibels(level), Markup().join(parts)) for level, parts in zip(levels, panels, strict=True)
    ]
    return template("audit").maps(
        "Expected errors of a patch at each place, the same scale for all solvers and levels. Pale "
        "is good. Left and right hemisphere from outside, below from inside.",
        [scale.key() for scale in scales],
        tabs("level", "Signal-to-noise ratio", named, audit.settings.planning),
        decibels(audit.level),
        unsure,
    )


def _solver(
    audit: Audit, solver: str, level: int, values: NDArray[np.float64], shade: Shade
) -> Markup:
    """One solver at one level: three maps with their means and intervals."""
    meshes = on_mesh(values[:, 0].T, audit.head.places, shade.surfaces)
    scores = audit.values(solver, level=level)
    at = f"of {title(solver)} at {decibels(audit.settings.snr_levels[level])}"
    blocks = []
    for k, scale in enumerate(map_scales(audit.settings)):
        unit = scale.metric.unit
        mean = audit.estimate(scores[:, k])
        half = np.median(values[k, 2] - values[k, 1]) / 2
        spec = ".0f" if mean.mean >= 10 else ".1f"
        blocks.append(
            {
                "maps": [_sides(shade, meshes[..., k], scale, f"{scale.metric.title} {at}")],
                "kind": "four",
                "mean": f"{written(mean.mean, spec)}{THIN}{unit}",
                "says": f"on average (95{THIN}% interval {written(mean.low, spec)} to "
                f"{written(mean.high, spec)}); {spans(values[k, 0], unit)} over the middle nine "
                f"tenths of the cortex, each ±{half:.0f}{THIN}{unit} (median)",
            }
        )
    found = audit.share(scores[:, ERROR])
    note = f"within {audit.settings.goal:g}{THIN}mm in {ranged(found, '%')}"
    return template("audit").solver(title(solver), note, blocks)


def _sides(shade: Shade, mesh: NDArray[np.float64], scale: MapScale, what: str) -> list[Still]:
    return four_sides(shade, scale.share(mesh), scale.palette, (0.0, 1.0), what)


def _unsure(audit: Audit, solver: str, values: NDArray[np.float64], shade: Shade) -> Markup:
    """Lower and upper ends of the maps of a solver."""
    blocks = []
    for k, scale in enumerate(map_scales(audit.settings)):
        mesh = on_mesh(values[k, 1:].T, audit.head.places, shade.surfaces)
        what = f"{scale.metric.title} of {title(solver)}"
        rows = [
            _sides(shade, mesh[..., end], scale, f"{what}, {word} end of the interval")
            for end, word in enumerate(("lower", "upper"))
        ]
        blocks.append({"maps": rows, "kind": "four row", "mean": ""})
    return template("audit").solver(title(solver), "", blocks)


def _levels(audit: Audit) -> Markup:
    more = audit.jobs[1:]
    named = {rung.n for rung in audit.cap.ladder if rung.name}
    sizes = {job.electrodes for job in more if job.electrodes > audit.cap.n_offered}
    extra = sorted(sizes - named)
    body = figure(curves(audit)) + change_table(audit)
    if not extra:
        return body
    return body + paragraphs(
        f"Caps of {' and '.join(map(str, extra))} electrodes have more than the "
        f"{audit.cap.n_offered} that {audit.cap.title} offers; the others are places of the 10-05 "
        "system, far from these."
    )


def _method(audit: Audit, command: str) -> Markup:
    own, head = audit.settings, audit.head
    n = head.believed.n_locations
    text = (
        f"{own.n} patches of cortex were simulated, one at a time, at places spread evenly over "
        f"{n:,} {'regions' if head.believed.kind == 'regions' else 'locations'} (each once before "
        f"any twice), on a mesh of {len(head.vertices):,} vertices. A patch has {own.extent:g} cm² "
        "above half of its maximum, the same current per area everywhere, a Gaussian profile along "
        "the cortex, and is active for about 50 ms of a window of 125 ms, outwards or inwards. "
        "White noise of equal power was added at every electrode; 0 dB means that a patch at the "
        "place of median visibility has as much power as the noise, over electrodes and window. "
        f"{head.differs} Data are referenced to the average. Solvers see data, lead field and "
        "the level of the noise, with their own default settings, fixed orientation; they are "
        "judged at the time at which the patch is strongest."
    )
    defined = (
        "Localisation error: distance from the strongest region to the centre of the patch "
        "(regions are some 13 mm apart, so a few millimetres are the least that can be reached). "
        "Missed area: share of the patch in regions below half of the estimate’s maximum. False "
        "area: regions above half of it that hold nothing of the patch. Maps: means of the patches "
        "around each place, weighted by a Gaussian of the distance along the cortex. Intervals: "
        "95 % percentile bootstrap over patches, paired between solvers and caps."
    )
    pairs = [
        (name, _plain(value)) for name, value in own.named().items() if value not in (None, ())
    ]
    pairs.append(("seen again with", f"seed {own.seed}, majorant {__version__}"))
    settings = table(("", ""), pairs, "Settings", kind="pairs")
    return template("audit").method((text, defined), command, audit.decisions, settings)


def _plain(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _citing(audit: Audit) -> Markup:
    lines = [SOLVERS[s].citation for s in audit.solvers]
    lines += [f"Majorant {__version__}", MNE_CITATION]
    lines += [TEMPLATE_CITATION] if audit.settings.forward is None else []
    return citations(lines)
