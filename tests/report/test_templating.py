"""Templates: what goes in is escaped, what is unknown an error, and no page is HTML in Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from majorant.report.colour import BLUE, BROWN, GREEN, INK, PURPLE
from majorant.report.parts import HeatCell, cautions, citations, facts, lead, opening, steps, table
from majorant.report.templating import drawn, template

EVIL = "<b>&\"'\u202e\x00\n"
SAFE = "&lt;b&gt;&amp;&#34;&#39;\ufffd\ufffd "
ROOT = Path(__file__).parents[2] / "src" / "majorant"


@pytest.mark.parametrize(
    "shown",
    [
        opening(EVIL, EVIL, EVIL, EVIL, before=EVIL),
        facts([(EVIL, EVIL)]),
        cautions([EVIL], EVIL),
        lead(EVIL),
        table((EVIL, EVIL), [(EVIL, EVIL)], EVIL),
        steps([EVIL]),
        citations([EVIL]),
        template("parts").heat_cell(HeatCell(EVIL, EVIL, EVIL, True, "#000000", "#ffffff")),
        template("parts").section({"key": "k", "title": EVIL, "body": EVIL}),
    ],
)
def test_every_text_is_escaped_and_calm(shown: Markup) -> None:
    assert SAFE.strip() in shown
    assert '<b>&"' not in shown
    assert not {"\u202e", "\x00"} & set(shown)


def test_markup_stands_as_it_is_and_nothing_else_does() -> None:
    shown = template("parts").section({"key": "k", "title": "t", "body": Markup("<em>a\nb</em>")})
    assert "<em>a\nb</em>" in shown


def test_a_name_that_a_template_needs_is_not_left_out() -> None:
    with pytest.raises(UndefinedError):
        drawn("frame", title="t")


def test_citations_are_linked_and_said_once() -> None:
    shown = citations(["A (2007), arXiv:0710.3341.", "B, doi:10.1/x<y;", "B, doi:10.1/x<y;"])
    assert '<a href="https://arxiv.org/abs/0710.3341">arXiv:0710.3341</a>.' in shown
    assert shown.count('<a href="https://doi.org/10.1/x&lt;y">') == 1


def test_text_on_a_colour_has_the_ink_that_contrasts_more() -> None:
    for palette in (BLUE, BROWN, PURPLE, GREEN):
        inks = {palette.ink(0.0), palette.ink(1.0)}
        assert inks == {INK, "#ffffff"}


def test_no_page_has_its_html_in_python() -> None:
    """SVG of figures aside, which is drawn and not written."""
    tag = re.compile(
        r"""["'f]\s*</?(p|div|section|table|t[dhr]|h[1-6]|[uo]l|li|span|figure|html|a|pre)\b"""
    )
    drawn_by_hand = {"svg.py", "topography.py"}
    found = [
        f"{path.name}:{number}"
        for room in ("report", "audit", "compare", "bids", "imaging")
        for path in (ROOT / room).rglob("*.py")
        if path.name not in drawn_by_hand
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if tag.search(line)
    ]
    assert not found
