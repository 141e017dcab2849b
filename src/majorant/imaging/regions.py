"""Regions of the peaks on the page, where they were asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest

from majorant.account import Account
from majorant.errors import MajorantError
from majorant.findings.facts import Findings
from majorant.imager.imager import SourceImager
from majorant.imaging.result import ImageSettings
from majorant.recording.prepare import Prepared

__all__ = ["with_regions"]


def with_regions(
    page: Findings,
    imager: SourceImager,
    prepared: Prepared,
    settings: ImageSettings,
    account: Account,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """Add the regions of the peaks, and what simulations say against peaks; or say why not."""
    if settings.region is None:
        return page
    # They are found by simulations, which are loaded where somebody asks.
    from majorant.findings.regions import find_regions, why_not
    from majorant.findings.regions.find import seldom

    reason = why_not(imager)
    if reason is not None:
        account.note(f"No regions: {reason}")
        return page
    if not page.peaks:
        return page
    try:
        regions = find_regions(
            imager,
            prepared.evoked,
            page.sources.values,
            page.peaks,
            settings.region,
            seed=settings.seed,
            progress=progress,
        )
    except MajorantError as error:
        # The estimate stands without; a head that none can be drawn around is no reason to stop.
        account.note(str(error)[:1].upper() + str(error)[1:] + ".")
        return page
    account.note(f"Regions: {regions.how}")
    doubts = zip_longest(page.doubts, seldom(regions), fillvalue="")
    return replace(page, regions=regions, doubts=tuple(a or b for a, b in doubts))
