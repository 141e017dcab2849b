"""The page: whole, self-contained, safe with hostile names, and right in odd cases."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import mne
import numpy as np
import pytest
import torch

from majorant.findings.facts import Uncertainty
from majorant.findings.truth import against_truth, truth_errors
from majorant.report.doubt import _stands
from majorant.report.page import render_page, write_page
from majorant.report.sections import _peaks, _truth

VOID = {"meta", "img", "br", "path", "use", "circle", "image", "rect", "line", "input"}
render = partial(render_page, height=88)
SECTIONS = (
    *("explore", "cortex", "peaks", "sensors", "courses", "fit"),
    *("certificate", "decisions", "settings", "cite"),
)


class Reader(HTMLParser):
    """Reads a page and complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.scripts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> within <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            kind = self.tags[-1][1].get("type", "script")
            self.scripts.append((kind, data))
        else:
            self.text.append(data)

    @property
    def said(self) -> str:
        """The text, every blank (also the narrow ones) a space."""
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="session")
def page(make) -> str:
    return render_page(make())  # as large as a user gets it


def assert_sound(text: str) -> Reader:
    """Tags match, identifiers are unique, links lead somewhere, nothing is fetched or run."""
    reader = Reader(text)
    ids = Counter(attrs["id"] for _, attrs in reader.tags if "id" in attrs)
    assert not [name for name, n in ids.items() if n > 1]
    for tag, attrs in reader.tags:
        assert tag not in ("iframe", "object", "embed", "link", "base", "form")
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "data", "action", "srcset"):
            if name not in attrs:
                continue
            address = attrs[name]
            if address.startswith("#"):
                assert address[1:] in ids
            elif tag == "a":
                assert address.startswith(("https://doi.org/", "https://arxiv.org/abs/"))
            else:
                assert address.startswith("data:image/")
    for _, script in reader.scripts:
        text = text.replace(script, "")
    assert "@import" not in text
    assert "url(" not in text.replace("url(#", "")
    assert_runs_only_its_own(reader)
    return reader


def assert_runs_only_its_own(reader: Reader) -> None:
    """Blocks of data are JSON that ends no element; all else is known to the policy by its hash."""
    (policy,) = [a["content"] for _, a in reader.tags if a.get("http-equiv")]
    allowed = policy.partition("; script-src")[2].split()
    found = []
    for kind, script in reader.scripts:
        if kind == "application/json":
            json.loads(script)
            assert not set("<>&\u2028\u2029") & set(script)
        else:
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            found.append(f"'sha256-{digest}'")
    assert found == allowed


def test_is_one_sound_file_with_every_section(page):
    reader = assert_sound(page)
    ids = {attrs.get("id") for _, attrs in reader.tags}
    assert {*SECTIONS, "truth"} <= ids
    assert sum(tag == "h1" for tag, _ in reader.tags) == 1
    assert reader.tags[1] == ("html", {"lang": "en"}) or reader.tags[0] == ("html", {"lang": "en"})


def test_is_small(page):
    assert len(page.encode()) < 4e6


def test_forbids_loading_and_running_anything_else(page):
    (policy,) = [a["content"] for t, a in Reader(page).tags if a.get("http-equiv")]
    start = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; script-src"
    )
    assert policy.startswith(start)
    assert policy.count("'sha256-") == 2
    assert "unsafe" not in policy.replace("style-src 'unsafe-inline'", "")


def test_every_picture_says_what_it_shows(page):
    tags = Reader(page).tags
    pictures = [a for t, a in tags if t == "img"]
    drawings = [a for t, a in tags if t == "svg" and a.get("aria-hidden") != "true"]
    assert len(pictures) == 12
    assert all(len(a["alt"]) > 20 for a in pictures)
    assert len(drawings) == 4 + 6 + 2
    assert all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in drawings)


def test_says_the_result_before_the_cautions_and_both_before_the_maps(page):
    places = [page.index(mark) for mark in ('class="says"', "What may mislead", 'id="cortex"')]
    assert places == sorted(places)
    said = Reader(page).said
    assert "The strongest activity is at 90 ms in the left temporal lobe" in said
    assert "8.86 nAm" in said
    assert "The negative log evidence never rose over 80 accepted iterates" in said
    assert "expect errors of a centimetre" in said


def test_lines_take_the_colours_of_the_theme(page):
    assert "prefers-color-scheme: dark" in page
    assert "#0102" not in page
    assert "stroke: var(--s1)" in page


def test_citations_are_links_and_text(page):
    reader = Reader(page)
    links = {a["href"] for t, a in reader.tags if t == "a"}
    assert "https://doi.org/10.1016/j.neuroimage.2009.06.083" in links
    assert "https://arxiv.org/abs/0710.3341" in links
    assert "doi:10.1016/j.neuroimage.2009.06.083; Cai et al. (2021)" in reader.said


def test_truth_stands_beside_the_nearest_peak(make, page):
    said = Reader(page).said
    assert "Nearest peak" in said
    assert "Moment (nAm)" in said
    content = make(n_channels=8, n_times=21, space="ico3")
    errors, body = truth_errors(content), str(_truth(content).body)
    for k, found in enumerate(against_truth(content), 1):
        assert f"{errors[f'source {k}: nearest peak away, mm']:.0f}</td>" in body
        assert errors[f"source {k}: maximum of the map away, mm"] == found.map_mm
    without = Reader(render(make(demo=False, n_times=21)))
    assert "truth" not in {attrs.get("id") for _, attrs in without.tags}


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</title></svg></style><b>",
    "$\\frac{broken",
    "&amp;\u202egpj.exe\x00\ud800",
    "javascript:alert(1) doi:10.1/<x>\" onclick=\"1",
)  # fmt: skip


def test_hostile_names_are_shown_and_do_nothing(make):
    content = make(n_channels=8, n_times=21, space="ico3")
    info = content.info.copy()
    names = dict(zip(info["ch_names"], HOSTILE, strict=False))
    mne.rename_channels(info, names)
    evil = " ".join(HOSTILE)
    text = render(
        replace(
            content,
            title=evil,
            info=info,
            decisions=HOSTILE,
            cautions=HOSTILE,
            settings=dict.fromkeys(HOSTILE, evil),
            versions=dict.fromkeys(("majorant", *HOSTILE), evil),
            citations=HOSTILE,
            solver={**content.solver, "title": evil, "guarantee": evil},
            errors=dict.fromkeys(HOSTILE, 1.0),
            peaks=(replace(content.peaks[0], lobe=evil, hemisphere=evil),),
            certificate=replace(content.certificate, energy_name=evil, bound=evil, guard=evil),
        )
    )
    reader = assert_sound(text)
    assert "<script>alert(1)</script>" in reader.said
    assert [kind for kind, _ in reader.scripts] == ["application/json"] * 2 + ["script"] * 2
    assert "\u202e" not in text
    assert "\x00" not in text
    text.encode("utf-8")


def test_very_long_names_do_not_stretch_the_page(make):
    content = replace(make(n_times=21, space="ico3"), title="x" * 5000, cautions=("y" * 3000,))
    text = render(content)
    assert_sound(text)
    assert text.count("overflow-wrap: anywhere") >= 4


def test_one_sample_has_maps_but_no_courses(make):
    reader = assert_sound(render(make(n_times=1)))
    assert "There is one sample only" in reader.said
    assert "recorded variance. Root mean square over channels" in reader.said
    assert sum(tag == "img" for tag, _ in reader.tags) == 6


def test_a_zero_estimate_says_so(make):
    reader = assert_sound(render(make(zero=True)))
    assert "Nothing stands out: the estimate is zero everywhere." in reader.said
    assert "It explains nothing of the recorded variance." in reader.said
    assert "There is no map" in reader.said
    assert not [tag for tag, _ in reader.tags if tag in ("img", "script")]


def test_without_peaks_the_map_is_of_the_moment_that_varies_most(make):
    content = make(n_times=41, demo=False)
    reader = assert_sound(render(replace(content, peaks=())))
    assert "Nothing stands out: the estimate has no clear maximum." in reader.said
    assert "no peak stands out" in reader.said
    (sample,) = [attrs["data-sample"] for _, attrs in reader.tags if "data-sample" in attrs]
    assert int(sample) == int(content.data.std(axis=0).argmax())


def test_peaks_within_ten_milliseconds_share_the_map_of_the_stronger(make):
    content = make(space="ico3")
    first, second, third = content.peaks
    shared, alone = content.moments()
    assert [rank for rank, _ in shared.peaks] == [1, 2]
    assert (shared.time, alone.time) == (first.time, third.time)
    apart = replace(content, peaks=(first, replace(second, time=first.time + 0.015), third))
    assert len(apart.moments()) == 3
    assert len(apart.moments(most=2)) == 2
    said = Reader(render(content)).said
    assert "90 ms: peak 1 in the left temporal lobe; peak 2 (95 ms) in the right temporal" in said


def test_closed_form_solvers_have_a_residual_and_no_curve(make):
    content = make(n_channels=8, n_times=21, space="ico3", iterative=False, signed=False)
    reader = assert_sound(render(content))
    assert "the normal equations hold to 3.2 × 10⁻¹⁴" in reader.said
    assert "figure-energy" not in {attrs.get("id") for _, attrs in reader.tags}
    assert "sLORETA statistic (no unit)" in reader.said
    assert "Magnitudes, without a sign" in reader.said
    assert "Pale: far from all electrodes" in reader.said


def test_a_broken_guarantee_comes_first(make):
    content = make(n_times=21, space="ico3")
    broken = replace(content.certificate, violations=torch.tensor([3]))
    said = Reader(render(replace(content, certificate=broken))).said
    assert "energy rose 3 times" in said
    assert said.index("the guarantee was not kept") < said.index(content.cautions[0])


def test_256_channels_for_long_stay_small(make):
    content = make(n_channels=256, n_times=701, space="ico3", demo=False)
    text = render(content)
    assert_sound(text)
    assert len(text.encode()) < 8e6


def test_missing_positions_leave_out_the_topographies(make):
    content = make(n_times=21, space="ico3")
    info = content.info.copy()
    info["chs"][3]["loc"][:] = np.nan
    reader = assert_sound(render(replace(content, info=info)))
    assert "There are no topographies" in reader.said


def test_sparse_estimates_are_drawn_as_dots(make):
    content = make(n_times=21, space="ico3")
    values = np.zeros_like(content.sources.values)
    values[content.peaks[0].location] = 1e-8
    sparse = replace(content, sources=replace(content.sources, values=values))
    assert "Dots: the few locations" in Reader(render(sparse)).said
    assert "Dots: the few locations" not in Reader(render(content)).said


def test_simulated_currents_are_said_in_ampere_metres_beside_a_statistic(make):
    said = Reader(render(make(n_times=21, space="ico3", iterative=False))).said
    assert "Moment (nAm)" in said
    assert "(sLORETA)" in said
    assert "what noise and sources everywhere give there" in said


def test_regions_are_drawn_as_regions(make, surfaces):
    content = make(n_times=21, space="ico3")
    parcels = np.stack([np.arange(10242) % 642, 642 + np.arange(10242) % 642])
    parcels[:, 9000:] = -1
    reader = assert_sound(
        render(replace(content, sources=replace(content.sources, parcels=parcels)))
    )
    assert "1,284 cortical regions" in reader.said


def test_is_written_whole_or_not_at_all(make, tmp_path: Path, monkeypatch):
    content, target, seen = make(n_times=21, space="ico3"), tmp_path / "report.html", []
    target.write_text("old")
    write_page(content, target, progress=seen.append)
    assert target.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert seen[:2] == ["Explore", "On the cortex"]
    assert seen[-1] == "How to cite"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("majorant.files.write.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_page(content, tmp_path / "other.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_same_content_makes_the_same_page(make):
    content = make(n_channels=8, n_times=21, space="ico3")
    assert render(content) == render(content)


def test_what_speaks_against_a_peak_stands_beside_it(make):
    content = make(n_channels=8, n_times=21, space="ico3")
    assert "Speaks against it" not in _peaks(content).body
    doubted = replace(content, doubts=("", "lies <at> the edge", *("",) * (len(content.peaks) - 2)))
    body = _peaks(doubted).body
    assert body.count("lies &lt;at&gt; the edge") == 1
    assert "Speaks against it" in body
    text = render(doubted)
    assert "Grey rings" in text
    assert "; doubtful" in text


def test_a_deviation_that_is_also_of_the_place_is_told_from_noise(make):
    content = make(n_channels=8, n_times=21, space="ico3")
    size = np.abs(content.sources.values).max()
    wide = np.full((len(content.sources.values), 1), size)
    of_posterior = Uncertainty(wide, "posterior standard deviation", "It was made up.")
    assert _stands(content, of_posterior).endswith(" times its posterior standard deviation.")
    placed = replace(of_posterior, noise=0.1 * wide, reached=4.5)
    said = _stands(content, placed)
    assert "which is also of where the source is, and 10 times what noise alone gives it" in said
    assert said.endswith("noise alone reaches 4.5.")
