"""Courses of regions over all of a continuous recording, read back from its store in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from majorant.account import Account
from majorant.errors import MajorantError
from majorant.imager.courses import RegionCourses, joined, parts_of
from majorant.imager.imager import SourceImager
from majorant.imager.store import read_window
from majorant.imager.streams import Reader
from majorant.imaging.result import ImageSettings
from majorant.memory import available, fits

__all__ = ["whole_courses"]

BLOCK_BYTES = 64_000_000
"""Of the estimate that are in memory at once."""


def whole_courses(
    imager: SourceImager, settings: ImageSettings, store: Path, reader: Reader, account: Account
) -> RegionCourses | None:
    """Courses of the regions of interest over the whole recording; None where none are asked for.

    Parameters
    ----------
    imager : SourceImager
    settings : ImageSettings
    store : Path
        Of the finished estimate.
    reader : Reader
        Of the recording.
    account : Account

    Raises
    ------
    MajorantError
        If there is no such region, or the courses would not fit into memory.
    """
    if not settings.roi:
        return None
    model, atlas = imager.inverse.model, settings.naming()
    parts = parts_of(atlas, model, settings.chosen)
    needed = 8 * len(parts[0]) * len(reader)
    if not fits(needed):
        raise MajorantError(
            f"courses of {len(parts[0])} regions over {len(reader)} samples take "
            f"{needed / 1e9:.1f} GB, and the machine has {available() / 1e9:.1f} GB left; name "
            "fewer regions with --roi, or a window with tmin and tmax"
        )
    found = joined(
        model,
        imager.forward_,
        _pieces(store, reader, model.leadfield.n_locations),
        parts,
        signed=model.leadfield.n_orient == 1,
        labelled=(atlas.name, imager.unit_),
    )
    account.note(
        f"Courses of {len(found.names)} regions of {atlas.name} over the whole recording are in "
        "regions_raw.fif; the page shows them at its instants."
    )
    return found


def _pieces(store: Path, reader: Reader, n_locations: int) -> Iterator[Any]:
    """Consecutive windows of a store."""
    size = max(1, BLOCK_BYTES // (8 * n_locations))
    first = reader.first / reader.sfreq
    for a in range(0, len(reader), size):
        b = min(a + size, len(reader))
        yield read_window(store, first + a / reader.sfreq, first + (b - 1) / reader.sfreq)
