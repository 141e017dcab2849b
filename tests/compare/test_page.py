"""The page of a comparison: what a reader is promised, whatever the solvers found."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.report.conftest import make_content
from tests.report.test_page import HOSTILE, Reader, assert_sound

from majorant.compare.page import render_comparison
from majorant.compare.run import Comparison, Contender, _moment
from majorant.compare.save import summarise
from majorant.compare.words import headline, smallest_region
from majorant.findings.facts import Findings, Region, Regions
from majorant.forward.surfaces import Surfaces, read_surfaces

SAMPLE = 17
"""90 ms, when the estimate is strongest."""
PLACES = np.random.default_rng(0).uniform(-60, 60, (6, 3))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that nobody looks at."""
    monkeypatch.setattr("majorant.compare.page.HEIGHT", 44)


@pytest.fixture(scope="module")
def surfaces() -> Surfaces:
    return read_surfaces()


def entry(name: str, content: Findings, evidence: float | None = None) -> Contender:
    details = {} if evidence is None else {"log_evidence": evidence}
    solution = SimpleNamespace(details=details, status=[SimpleNamespace(value="converged")])
    result: Any = SimpleNamespace(
        content=content, explained=0.71, unit="Am", imager=SimpleNamespace(solution_=solution)
    )
    strength = np.linalg.norm(content.sources.values, axis=0)
    return Contender(name, result, 1.25, strength)


def compared(surfaces: Surfaces, *entries: Contender, title: str = "oddball") -> Comparison:
    content = entries[0].result.content
    prepared: Any = SimpleNamespace(
        evoked=SimpleNamespace(times=content.times), title=title, decisions=("Read 8 channels.",)
    )
    parcels = np.arange(2 * 10242).reshape(2, -1) % 6
    moment = _moment(entries, SAMPLE, prepared, surfaces, parcels, PLACES)
    left_out = {"mm-net": "it needs a <window> of 125 ms"}
    return Comparison(prepared, entries, left_out, (moment,))


@pytest.fixture(scope="module")
def two() -> tuple[Findings, Findings]:
    one = make_content(n_channels=8, n_times=41, space="ico3", demo=False)
    other = make_content(n_channels=8, n_times=41, space="ico3", demo=False, iterative=False)
    return one, other


def with_region(content: Findings, area: float) -> Findings:
    one = Region(np.array([content.peaks[0].location]), area, (("left temporal", 1.0),), 0.9)
    found = np.ones(len(content.sources.values))
    others = (None,) * (len(content.peaks) - 1)
    regions = Regions(
        0.9, content.peaks, (one, *others), "How.", found, np.zeros(len(found), np.int8)
    )
    return replace(content, regions=regions)


def with_doubt(content: Findings, why: str) -> Findings:
    return replace(content, doubts=tuple(why for _ in content.peaks))


def test_every_solver_has_its_maps_numbers_and_promise(two, surfaces: Surfaces) -> None:
    found = compared(surfaces, entry("champagne", two[0], -120.5), entry("sloreta", two[1]))
    seen: list[tuple[int, int]] = []
    reader = assert_sound(
        render_comparison(found, surfaces, "majorant compare x", lambda *at: seen.append(at))
    )
    keys = [attrs["id"] for tag, attrs in reader.tags if tag == "section"]
    assert keys == ["cortices", "course", "fits", "method", "cite"]
    assert sum(tag == "img" for tag, _ in reader.tags) == 2 * 4
    assert "71 %" in reader.said
    assert "−120.5" in reader.said
    assert "not defined" in reader.said
    assert "negative log evidence never rose over 80 accepted iterates" in reader.said
    assert "closed form, residual 3.2 × 10⁻¹⁴" in reader.said
    assert "MM-Net was left out: it needs a <window> of 125 ms." in reader.said
    assert "majorant compare x" in reader.said
    assert not [tag for tag, _ in reader.tags if tag == "script"]
    assert plain(headline(found)[0]) in reader.said
    assert seen == [(1, 1)]


def plain(text: str) -> str:
    return " ".join(text.split())


def render_text(found: Comparison, surfaces: Surfaces) -> str:
    return Reader(render_comparison(found, surfaces, "", lambda *_: None)).said


def test_the_smallest_region_is_named_where_regions_were_asked_for(two, surfaces) -> None:
    plainly = compared(surfaces, entry("champagne", two[0]), entry("sloreta", two[1]))
    assert "Region" not in render_text(plainly, surfaces)
    assert smallest_region(plainly) == ""
    sized = (with_region(two[0], 12.3), with_region(two[1], 40.0))
    found = compared(surfaces, entry("champagne", sized[0]), entry("sloreta", sized[1]))
    said = render_text(found, surfaces)
    assert "Champagne says most surely where its leading source is" in said
    assert "Regions: Champagne 12 cm², sLORETA 40 cm²." in said
    assert "Region (cm²)" in said


def test_hostile_names_are_shown_and_do_nothing(two, surfaces: Surfaces) -> None:
    evil = " ".join(HOSTILE)
    hostile = replace(two[0], cautions=HOSTILE, decisions=HOSTILE, citations=HOSTILE)
    found = compared(surfaces, entry("champagne", hostile), entry("sloreta", two[1]), title=evil)
    text = render_comparison(found, surfaces, evil, lambda *_: None)
    reader = assert_sound(text)
    assert "<script>alert(1)</script>" in reader.said
    assert not reader.scripts
    assert "\u202e" not in text


def test_cautions_of_all_are_said_once_and_of_one_with_its_name(two, surfaces: Surfaces) -> None:
    own = replace(two[1], cautions=(*two[1].cautions, "Only here."))
    said = render_text(
        compared(surfaces, entry("champagne", two[0]), entry("sloreta", own)), surfaces
    )
    assert said.count(two[0].cautions[0]) == 1
    assert "sLORETA: Only here." in said


def test_solvers_that_agree_are_named_with_the_place(two, surfaces: Surfaces) -> None:
    found = compared(surfaces, entry("champagne", two[0]), entry("sloreta", two[1]))
    first, second = map(plain, headline(found))
    assert "all 2 solvers put the strongest activity within 20 mm" in first
    assert "left superior temporal gyrus" in first
    assert "Agreement is no proof" in second


def test_no_headline_comes_from_a_shadow(two, surfaces: Surfaces) -> None:
    shadow = with_doubt(two[1], "may be the shadow of peak 2, whose leakage alone gives 90 % of it")
    found = compared(surfaces, entry("champagne", two[0]), entry("sloreta", shadow))
    first, second = map(plain, headline(found))
    assert "no two solvers put activity that nothing speaks against" in first
    assert "temporal" not in first
    assert "sLORETA: left superior temporal gyrus, but that may be the shadow" in second
    assert "Champagne: left superior temporal gyrus;" in second
    assert summarise(found, "")["headline"] == headline(found)[0]


def test_where_all_are_doubted_nothing_is_claimed(two, surfaces: Surfaces) -> None:
    faint = replace(two[0], faint="No source stands out from noise: it is weak.")
    edge = with_doubt(two[1], "lies at the edge of the window")
    found = compared(surfaces, entry("champagne", faint), entry("sloreta", edge))
    first, second = map(plain, headline(found))
    assert "something speaks against the strongest activity of every solver" in first
    where = "left superior temporal gyrus"
    assert f"Champagne: {where}, but that does not stand out from noise" in second
    assert f"sLORETA: {where}, but that lies at the edge of the window" in second
