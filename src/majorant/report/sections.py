"""The sections of the page, each from its content to HTML, in the order a reader needs them.

HTML stands in ``templates/``, which escapes whatever comes from outside (names of files, channels,
settings).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from markupsafe import Markup

from majorant.findings.facts import Findings, Peak
from majorant.findings.moments import meaning
from majorant.findings.truth import against_truth
from majorant.report import figures
from majorant.report.cortex import Cortex
from majorant.report.dipole import dipole_section
from majorant.report.doubt import doubt_section
from majorant.report.headline import headline, place, source_scale
from majorant.report.interest import interest_section
from majorant.report.maps import cortex_section, topographies
from majorant.report.parts import (
    Section,
    cautions,
    citations,
    facts,
    figure,
    opening,
    paragraphs,
    steps,
    table,
)
from majorant.report.regions import region_cells, regions_section
from majorant.report.spikes import spikes_section
from majorant.report.templating import template
from majorant.words import (
    THIN,
    Scaled,
    calm,
    clock,
    instant,
    mni,
    nearest,
    number,
    percent,
)

__all__ = ["header", "sections"]


def header(content: Findings) -> Markup:
    """Return the headline, the facts and, in plain sight, the cautions."""
    first, second = headline(content)
    clk, n = clock(content.times), len(content.times)
    span = instant(content.times[0], clk)
    if n > 1:
        span = f"{span} to {instant(content.times[-1], clk)}, {n} samples"
    kind = "locations" if content.sources.parcels is None else "regions"
    origin = (
        f"{content.solver['title']} estimate from {len(content.data)} electrodes, "
        f"{len(content.sources.values):,} cortical {kind}, {span}"
    )
    return opening(content.title, origin, first, second) + _facts(content) + _cautions(content)


def _facts(content: Findings) -> Markup:
    proof = content.certificate
    pairs: list[tuple[str, ...]] = []
    if content.peaks:
        k, clk = content.leading or 0, clock(content.times)
        peak = content.peaks[k]
        explained = content.explained[nearest(content.times, peak.time)]
        scale = source_scale(content.sources, abs(peak.amplitude))
        pairs += [
            ("Strongest peak" if k == 0 else f"Peak {k + 1}", instant(peak.time, clk)),
            ("Place", place(peak)),
            ("Amplitude", scale.say(peak.amplitude), _meaning(content)),
            *_dipole(peak),
            ("Variance explained then", percent(float(explained))),
        ]
    if proof.residual is not None:
        pairs.append(
            ("Solved in closed form", f"residual {number(float(proof.residual.max()), 1)}")
        )
    else:
        rises = int(proof.violations.sum())
        pairs.append(
            ("Certificate", "energy never rose" if rises == 0 else f"energy rose {rises} times")
        )
    return facts(pairs)


def _dipole(peak: Peak) -> list[tuple[str, ...]]:
    """The moment of the strongest peak, where it is known."""
    if peak.moment is None:
        return []
    what = "the dipole there that the data ask for; comparable between solvers"
    return [("As one dipole", f"{number(1e9 * peak.moment, 2)}{THIN}nAm", what)]


def _cautions(content: Findings) -> Markup:
    texts = content.cautions
    if not content.certificate.holds():
        broken = "The energy rose during the iterations: the guarantee was not kept."
        texts = (broken, *texts)
    return cautions(texts)


def sections(content: Findings, cortex: Cortex) -> Iterable[Section]:
    """Yield the sections, drawing each as it is asked for."""
    if content.spikes is not None:
        yield spikes_section(content, cortex)
    yield cortex_section(content, cortex)
    yield _peaks(content)
    if content.regions is not None:
        yield regions_section(content, cortex)
    if content.dipole is not None:
        yield dipole_section(content, cortex)
    if content.truth:
        yield _truth(content)
    yield _sensors(content)
    yield _courses(content)
    if content.courses is not None:
        yield interest_section(content, content.courses)
    if content.uncertainty is not None:
        yield doubt_section(content, content.uncertainty, cortex)
    yield _fit(content)
    yield _certificate(content)
    yield Section("decisions", "What was decided", steps(content.decisions))
    yield _settings(content)
    yield _citing(content)


def _peaks(content: Findings) -> Section:
    if not content.peaks:
        text = "No local maximum of the estimate stands out, so there is nothing to list."
        return Section("peaks", "Peaks", paragraphs(text))
    clk, peaks = clock(content.times), content.peaks
    scale = source_scale(content.sources, max(abs(peak.amplitude) for peak in peaks))
    heads = ["Rank", clk.axis, "Place", "MNI x, y, z (mm)", scale.axis, "Share (%)", "Dipole (nAm)"]
    rows = [
        (
            str(rank),
            instant(peak.time, clk).split("\u202f")[0],
            place(peak),
            mni(peak.mni),
            _amplitude(content, peak, scale),
            percent(peak.share).removesuffix("\u202f%"),
            "" if peak.moment is None else number(1e9 * peak.moment, 2),
        )
        for rank, peak in enumerate(peaks, 1)
    ]
    if any(content.doubts):
        heads.append("Speaks against it")
        rows = [(*row, why) for row, why in zip(rows, content.doubts, strict=True)]
    caption = (
        "Local maxima over space and time, the strongest first. MNI152 coordinates; regions "
        f"{_atlas(content)}, a guide near their borders. Share: of the estimate’s energy at that "
        "time, within 30 mm of the peak. Dipole: the moment of the one dipole there that the data "
        f"ask for, comparable between solvers; the amplitude is {_meaning(content)}."
    )
    if content.uncertainty is not None:
        caption += f" Behind ±: one {content.uncertainty.name}."
    sizes = region_cells(content)
    if content.regions is not None and sizes:
        heads.append(f"{percent(content.regions.coverage)} region (cm²)")
        rows = [(*row, size) for row, size in zip(rows, sizes, strict=True)]
    numeric = [k for k, head in enumerate(heads) if head.endswith(")") or head.startswith("MNI")]
    return Section("peaks", "Peaks", table(heads, rows, caption, numeric=numeric))


def _atlas(content: Findings) -> str:
    known = content.sources.atlas
    return f"of the atlas {calm(known)}" if known else "are lobes by boxes in these"


def _meaning(content: Findings) -> str:
    return meaning(content.sources.unit, content.sources.parcels is not None)


def _amplitude(content: Findings, peak: Peak, scale: Scaled) -> str:
    """Return the amplitude of a peak, with its deviation if it has one."""
    deviation, value = content.deviation_at(peak), number(peak.amplitude * scale.factor)
    return value if deviation is None else f"{value} ± {number(deviation * scale.factor, 2)}"


def _truth(content: Findings) -> Section:
    """Simulated sources, and how far the estimate is from each."""
    clk = clock(content.times)
    largest = max(abs(peak.amplitude) for peak in content.truth)
    scale = source_scale(replace(content.sources, unit="Am"), largest)
    heads = ["Simulated", "Place", f"Moment ({scale.label})", "MNI x, y, z (mm)", "Nearest peak"]
    heads += ["Away (mm)", "Later by (ms)", "Map’s maximum away (mm)"]
    rows = []
    for source, found in zip(content.truth, against_truth(content), strict=True):
        moment = number(source.amplitude * scale.factor)
        row = [instant(source.time, clk), place(source), moment, mni(source.mni), "none", "", ""]
        if found.peak is not None:
            row[4:] = [str(found.peak + 1), f"{found.peak_mm:.0f}", number(found.late_ms, 2)]
        rows.append((*row, f"{found.map_mm:.0f}"))
    caption = (
        "The simulated sources, and the listed peak nearest to each in space. The last column is "
        "of the map at the source’s own time: how far its maximum over the whole cortex is."
    )
    return Section("truth", "Truth and estimate", table(heads, rows, caption, (2, 3, 5, 6, 7)))


def _sensors(content: Findings) -> Section:
    course = figure(figures.butterfly(content)) if len(content.times) > 1 else Markup()
    return Section("sensors", "At the sensors", course + topographies(content))


def _courses(content: Findings) -> Section:
    if len(content.times) == 1:
        body = paragraphs("There is one sample only, so nothing changes over time.")
    elif not np.any(content.sources.values):
        body = paragraphs("The estimate is zero at all times.")
    else:
        body = figure(figures.time_courses(content))
    return Section("courses", "Time courses", body)


def _fit(content: Findings) -> Section:
    if len(content.times) > 1:
        return Section("fit", "What it explains", figure(figures.fit(content)))
    recorded, left = (
        f"{number(figures.rms(part)[0] * figures.MICROVOLT)}\u202fµV"
        for part in (content.data, content.data - content.predicted)
    )
    text = (
        f"The estimate explains {percent(float(content.explained[0]))} of the recorded variance. "
        f"Root mean square over channels: {recorded} recorded, {left} unexplained."
    )
    return Section("fit", "What it explains", paragraphs(text))


def _certificate(content: Findings) -> Section:
    proof, curve = content.certificate, figures.certificate(content)
    says = proof.sentence()
    if proof.residual is not None:
        says = (
            "Closed form, the minimum itself: the normal equations hold to "
            f"{number(float(proof.residual.max()), 2)} (relative)."
        )
    body = paragraphs(f"{says} {content.solver['guarantee']}")
    if curve is not None:
        body += figure(curve)
    if proof.residual is None:
        rows = [
            ("accepted iterates", str(len(proof.energy) - 1)),
            ("violations (rises of the energy)", str(int(proof.violations.sum()))),
            ("proposals refused", str(int(proof.refused.sum()))),
            ("steps halved", str(int(proof.halvings.sum()))),
            ("fallbacks to the analytic step", str(int(proof.fallbacks.sum()))),
            ("bound", f"{proof.bound} ({proof.kind})"),
            ("guard", proof.guard),
            *((name, number(value, 2)) for name, value in proof.ending()),
        ]
        body += table(("", ""), rows, "What the guard counted", kind="pairs")
    return Section("certificate", "The certificate", body)


def _settings(content: Findings) -> Section:
    pairs = _pairs(content.settings, "Settings"), _pairs(content.versions, "Versions")
    return Section("settings", "Settings and versions", template("image").side_by_side(*pairs))


def _pairs(entries: Mapping[str, Any], caption: str) -> Markup:
    rows = [(str(name), str(value)) for name, value in entries.items()]
    return table(("", ""), rows, caption, kind="pairs full")


def _citing(content: Findings) -> Section:
    return Section("cite", "How to cite", citations(content.citations))
