"""The interactive page as a section of an `mne.Report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from majorant.imaging.image import imaged
from majorant.imaging.result import ImageSettings
from majorant.problem import MajorantError
from majorant.recording.lone import find_lone
from majorant.recording.prepare import Prepared
from majorant.report.frame import as_frame
from majorant.report.page import render_page

if TYPE_CHECKING:
    from majorant.imager.imager import SourceImager

__all__ = ["add_section"]


def add_section(imager: SourceImager, report: Any, evoked: Any, title: str) -> None:
    """Image an average with a fitted imager and add its page to a report.

    The page stands in a frame of its own, so that neither style nor script of one meets the other.

    Parameters
    ----------
    imager : SourceImager
    report : mne.Report
    evoked : mne.Evoked
    title : str

    Raises
    ------
    MajorantError
        If it is no report, or the average does not have the imager's channels.
    """
    import mne

    if not isinstance(report, mne.Report):
        raise MajorantError(
            f"a {type(report).__name__} was given to add to; expected an mne.Report"
        )
    if not isinstance(evoked, mne.Evoked):
        raise MajorantError(
            f"a {type(evoked).__name__} cannot be shown as a section; average it to an mne.Evoked"
        )
    imager.inverse.rows(list(evoked.ch_names))
    average = evoked.copy().pick(list(imager.info_["ch_names"]), exclude=())
    prepared = Prepared(
        average,
        imager.noise_cov_,
        "file",
        tuple(imager.notes_),
        evoked.comment or title,
        lone=find_lone(average, imager.noise_cov_, imager.rank),
    )
    own = imager.settings
    settings = ImageSettings(
        **{**own.of_imager(), "loose": imager.model.loose}, options=dict(own.options)
    )
    page = render_page(imaged(imager, prepared, settings).content)
    report.add_html(as_frame(page, title), title=title)
