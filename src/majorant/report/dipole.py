"""The equivalent dipole on the page: where it lies, beside the peaks of the map at its time."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from majorant.findings.facts import EquivalentDipole, Findings
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil
from majorant.report.maps import CLEAR, HIDDEN, PLACES
from majorant.report.marks import Mark
from majorant.report.parts import Section, lead, table
from majorant.report.pictures import still
from majorant.report.spread import spread
from majorant.report.templating import template
from majorant.words import THIN, calm, clock, instant, mni, nearest, number, percent

__all__ = ["dipole_section", "dipole_words"]


def dipole_words(dipole: EquivalentDipole) -> str:
    """Return the dipole as one reads it: place, moment, what it explains."""
    where = calm(dipole.name) or "cortex"
    apart = ""
    if dipole.apart_mm is not None:
        apart = f"; {dipole.apart_mm:.0f}{THIN}mm from peak {dipole.peak}"
    return (
        f"{dipole.hemisphere} {where} (MNI {mni(dipole.mni)}{THIN}mm), "
        f"{number(1e9 * dipole.moment, 2)}{THIN}nAm, explains {percent(dipole.explained)}{apart}"
    )


def dipole_section(content: Findings, cortex: Cortex) -> Section:
    """Draw the dipole on the map of its time, and list what is known of it."""
    dipole = content.dipole
    assert dipole is not None
    clk, maps = clock(content.times), content.sources
    sample = nearest(content.times, dipole.time)
    values = spread(maps, maps.values[:, [sample]], cortex.surfaces.faces)[..., 0]
    limit = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    marks = [
        Mark(int(maps.hemisphere[p.location]), int(maps.vertices[p.location]), "peak", str(rank))
        for rank, p in enumerate(content.peaks, 1)
        if abs(p.time - dipole.time) <= 0.010
    ]
    marks.append(cortex.mark_at(dipole.hemisphere, dipole.mni))
    veil = Veil(HIDDEN * limit, CLEAR * limit)
    pictures = [
        (
            order,
            still(
                cortex.draw(view, values, Scale(limit, maps.signed), veil, marks, 1.9),
                f"Cortex, {view.name}: the map and, crossed, the dipole",
            ),
            view.name,
        )
        for view, order in zip(VIEWS, PLACES, strict=True)
    ]
    says = lead(
        "One current for everything that was recorded at this time, fitted freely in the head. "
        "Where there is one small source it lies near the peak of the map; where there are several "
        "it lies between them."
    )
    caption = (
        f"Cross: the dipole at {instant(dipole.time, clk)}, at the surface nearest to it. Rings: "
        "peaks of the map within 10 ms."
    )
    drawn = template("image").maps("dipole", None, "", pictures, False, caption)
    return Section("dipole", "As one dipole", says + drawn + _table(dipole, content))


def _table(dipole: EquivalentDipole, content: Findings) -> Markup:
    towards = ", ".join(number(part, 2) for part in dipole.direction)
    rows = [
        ("Time", instant(dipole.time, clock(content.times))),
        ("Place", f"{dipole.hemisphere} {calm(dipole.name)}".strip()),
        ("MNI x, y, z (mm)", mni(dipole.mni)),
        ("Direction (right, front, up)", towards),
        ("Moment (nAm)", number(1e9 * dipole.moment, 2)),
        ("Goodness of fit", percent(dipole.explained)),
    ]
    if dipole.volume_cm3 is not None:
        rows.append(("95 % volume by noise alone (cm³)", number(dipole.volume_cm3, 2)))
    if dipole.apart_mm is not None:
        rows.append((f"From peak {dipole.peak} (mm)", f"{dipole.apart_mm:.0f}"))
    caption = (
        "By mne.fit_dipole. The volume knows of the noise only: a wrong head moves the dipole by "
        "about a centimetre more."
    )
    return table(("", ""), rows, caption, kind="pairs")
