"""Regions on the page: the leading one is drawn, all are listed, unsupported cortex is marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.report.conftest import make_content
from tests.report.test_page import Reader

from majorant.findings.facts import Findings, Region, Regions
from majorant.forward.surfaces import read_surfaces
from majorant.report.cortex import VIEWS, Cortex
from majorant.report.regions import region_cells, region_words, regions_section


@pytest.fixture(scope="module")
def content() -> Findings:
    return make_content(n_channels=8, n_times=41, space="ico3", demo=False)


def with_regions(content: Findings, found: np.ndarray) -> Findings:
    places = (("left temporal", 0.75), ("left <b>parietal</b>", 0.25))
    one = Region(np.array([content.peaks[0].location]), 12.3, places, 0.93)
    rest: tuple[Region | None, ...] = (None,) * (len(content.peaks) - 1)
    support = np.where(found > 0.8, 1, np.where(found < 0.2, -1, 0)).astype(np.int8)
    how = "Calibrated on <i>trials</i>."
    regions = Regions(0.9, content.peaks, (one, *rest), how, found, support)
    return replace(content, regions=regions)


def test_regions_are_listed_and_drawn(content: Findings) -> None:
    shown = with_regions(content, np.ones(len(content.sources.values)))
    section = regions_section(shown, Cortex(read_surfaces(), 44))
    reader = Reader(str(section.html()))
    assert "Where the sources are, 90 % sure" in reader.said
    assert "12 cm², left temporal 75 %, left <b>parietal</b> 25 %" in reader.said
    assert "too few simulations" in reader.said
    assert "Calibrated on <i>trials</i>." in reader.said
    assert sum(tag == "img" for tag, _ in reader.tags) == len(VIEWS)
    assert region_cells(shown) == ("12", *[""] * (len(content.peaks) - 1))
    assert region_cells(content) == ()


def test_unsupported_cortex_is_painted(content: Findings) -> None:
    cortex, n = Cortex(read_surfaces(), 44), len(content.sources.values)
    pages = [regions_section(with_regions(content, np.full(n, f)), cortex) for f in (0.9, 0.1)]
    assert pages[0].body != pages[1].body
    supported, unsupported = (Reader(str(page.html())).said for page in pages)
    assert "such a source would have been found" in supported
    assert "such a source would have been found" not in unsupported
    assert "left open" not in supported + unsupported
    said = Reader(str(regions_section(with_regions(content, np.full(n, 0.4)), cortex).html())).said
    assert "left open: 40 % of such sources were found" in said


def test_a_region_in_words() -> None:
    assert region_words(None) == "too few simulations"
    tiny = Region(np.array([0]), 0.4, (("right occipital", 1.0),), 0.5)
    assert region_words(tiny) == "below 1 cm², right occipital 100\u202f%"
