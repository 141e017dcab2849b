"""The equivalent dipole on the page, where it was asked for."""

from __future__ import annotations

from dataclasses import replace

from majorant.account import Account
from majorant.errors import MajorantError
from majorant.findings.dipole import dipole_cautions, fit_dipole
from majorant.findings.facts import Findings
from majorant.head.places import Places
from majorant.imager.imager import SourceImager
from majorant.imaging.result import ImageSettings
from majorant.recording.prepare import Prepared

__all__ = ["with_dipole"]


def with_dipole(
    page: Findings,
    imager: SourceImager,
    prepared: Prepared,
    settings: ImageSettings,
    places: Places,
    account: Account,
) -> Findings:
    """Add the dipole at the time of the peak that leads, and what it says against the map."""
    if not settings.dipole:
        return page
    time = page.peaks[page.leading or 0].time if page.peaks else page.moments()[0].time
    try:
        dipole = fit_dipole(imager, prepared.evoked, time, page.peaks, places)
    except MajorantError as error:
        text = str(error)
        account.note(f"{text[:1].upper()}{text[1:]}.")
        return page
    name = "" if page.sources.names is None else page.sources.names[dipole.location]
    dipole = replace(dipole, name=name)
    account.note(
        "Dipole: mne.fit_dipole at the time of the peak, in the head and with the noise of the "
        "estimate."
    )
    return replace(page, dipole=dipole, cautions=(*page.cautions, *dipole_cautions(dipole)))
