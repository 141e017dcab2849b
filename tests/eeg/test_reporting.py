"""The page as a section of an MNE report: in a frame of its own, and alive there."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import mne
import pytest
from tests.report.browser import chromium

from majorant.imager.imager import SourceImager
from majorant.imaging import section as reporting
from majorant.problem import MajorantError
from majorant.report.page import render_page


@pytest.fixture
def imager(averages: list[Any], sphere_forward: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(reporting, "render_page", partial(render_page, height=44))
    return SourceImager("mne", loose=1).fit(averages[0].info, sphere_forward)


def test_the_section_is_alive_in_a_frame_of_its_own(
    imager: SourceImager, averages: list[Any], tmp_path: Path
) -> None:
    report = mne.Report(title="Study", verbose="error")
    imager.add_to_report(report, averages[0], title="Sources of <b>loud</b>")
    path = tmp_path / "study.html"
    report.save(path, open_browser=False, verbose="error")
    text = path.read_text("utf-8")
    assert text.count("<iframe sandbox=") == 1
    assert "Sources of &lt;b&gt;loud" in text
    with chromium() as browser:
        page = browser.new_page(reduced_motion="reduce")
        page.goto(path.as_uri(), wait_until="commit")
        page.locator("iframe").scroll_into_view_if_needed(timeout=60_000)
        explorer = page.frame_locator("iframe").locator(".explorer[data-ready]")
        explorer.wait_for(timeout=60_000)
        assert explorer.get_attribute("data-ready") == "3d"


def test_what_cannot_be_added_is_said(imager: SourceImager, averages: list[Any]) -> None:
    with pytest.raises(MajorantError, match=r"expected an mne\.Report"):
        imager.add_to_report("report.html", averages[0])
    report = mne.Report(verbose="error")
    with pytest.raises(MajorantError, match=r"average it to an mne\.Evoked"):
        imager.add_to_report(report, "evoked")
    with pytest.raises(MajorantError, match="lack"):
        imager.add_to_report(report, averages[0].copy().pick(["Cz", "Pz", "Fz"]))
