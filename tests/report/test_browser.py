"""The interactive page in a browser: what follows what, keys, hostile names, every look.

Screenshots are kept in ``out/screenshots`` beside the checkout's sources, which git ignores.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
from PIL import Image
from tests.report.browser import Reader, chromium
from tests.report.conftest import make_content
from tests.report.test_page import HOSTILE

from majorant.findings.facts import Findings, Uncertainty
from majorant.report.page import render_page

SHOTS = Path(__file__).parents[2] / "out" / "screenshots"


NO_WEBGL = (
    "HTMLCanvasElement.prototype.getContext = (get => function (kind, ...rest) {"
    "return kind.startsWith('webgl') ? null : get.call(this, kind, ...rest); })"
    "(HTMLCanvasElement.prototype.getContext);"
)


DRAWN_ANEW = """() => {
    const chart = document.querySelector('[data-part=course]');
    return chart.viewBox.baseVal.width === Math.max(280, chart.parentNode.clientWidth);
}"""


def doubted(content: Findings) -> Findings:
    """The content with a standard deviation that changes over time."""
    values = content.sources.values
    deviation = 0.1 * np.abs(values).max() * (1 + 0.5 * np.linspace(0, 1, values.shape[1]))
    deviation = np.tile(deviation, (len(values), 1))
    doubt = Uncertainty(deviation, "standard deviation", "It was made up.", 5.5)
    return replace(content, uncertainty=doubt)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = doubted(make_content(n_channels=32, n_times=61, space="ico3"))
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render_page(content, height=88), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def reader(browser: Any, path: Path) -> Iterator[Reader]:
    """One page for many tests: opening it is what takes time."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    reader = Reader(browser, path)
    yield reader
    reader.close()


def test_it_opens_offline_in_three_dimensions_without_a_complaint(reader: Reader, path: Path):
    assert reader.state("ready") == "3d"
    assert reader.complaints == []
    assert [url for url in reader.asked_for if not url.startswith(("data:", "blob:"))] == [
        path.as_uri()
    ]
    reader.page.locator("#explore").screenshot(path=SHOTS / "explore-light.png")


def test_it_starts_at_the_strongest_peak(reader: Reader):
    assert reader.part("when").text_content() == "92\u202fms"
    assert "emporal" in (reader.part("place").text_content() or "")
    assert "±" in (reader.part("value").text_content() or "")
    assert "92\u202fms" in (reader.part("told").text_content() or "")


def test_the_slider_changes_time_map_and_head(reader: Reader):
    cortex = reader.pixels()
    head = reader.pixels('[data-head="recorded"]')
    slider = reader.part("time")
    slider.focus()
    sample = int(reader.state("sample"))
    for _ in range(8):
        slider.press("ArrowRight")
    assert int(reader.state("sample")) == sample + 8
    assert reader.part("when").text_content() != "92\u202fms"
    assert reader.pixels() != cortex
    assert reader.pixels('[data-head="recorded"]') != head
    assert slider.get_attribute("aria-valuetext") == reader.part("when").text_content()


def test_a_click_on_the_course_sets_the_time(reader: Reader):
    box = reader.part("course").bounding_box()
    reader.part("course").click(position={"x": 0.9 * box["width"], "y": 60})
    assert int(reader.state("sample")) > 45


def test_a_click_selects_the_region_under_it(reader: Reader):
    before, course = reader.state("region"), reader.part("course").inner_html()
    canvas = reader.page.locator(".stage canvas")
    box = canvas.bounding_box()
    canvas.click(position={"x": 0.35 * box["width"], "y": 0.4 * box["height"]})
    assert reader.state("region") != before
    assert reader.part("course").inner_html() != course
    assert reader.part("course").locator(".band").count() == 1


def test_views_turn_the_cortex_and_say_which_is_shown(reader: Reader):
    before = reader.pixels()
    reader.page.locator('[data-view="above"]').click()
    assert reader.page.locator('[data-view="above"]').get_attribute("aria-pressed") == "true"
    assert reader.page.locator('[data-surface="folded"]').get_attribute("aria-pressed") == "true"
    assert reader.page.locator('[data-hemispheres="both"]').get_attribute("aria-pressed") == "true"
    above = reader.pixels()
    assert above != before
    reader.page.locator('[data-hemispheres="right"]').click()
    assert reader.pixels() != above


def test_a_drag_turns_and_the_threshold_uncovers(reader: Reader):
    canvas = reader.page.locator(".stage canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    before, mouse = reader.pixels(), reader.page.mouse
    mouse.move(box["x"] + 200, box["y"] + 200)
    mouse.down()
    mouse.move(box["x"] + 280, box["y"] + 230, steps=2)
    mouse.up()
    turned = reader.pixels()
    assert turned != before
    said = reader.part("threshold-says").text_content()
    reader.part("threshold").fill("0")
    assert reader.part("threshold-says").text_content() == "everything"
    assert said != "everything"
    assert reader.pixels() != turned


def test_maps_of_uncertainty_have_their_own_scale(reader: Reader):
    axis = reader.part("axis").text_content()
    reader.page.locator('[data-map="deviation"]').click()
    assert reader.part("axis").text_content() == "Standard deviation (nAm)"
    reader.page.locator('[data-map="ratio"]').click()
    assert "over its standard deviation" in (reader.part("axis").text_content() or "")
    assert reader.part("noise").is_visible()
    reader.page.locator('[data-map="estimate"]').click()
    assert reader.part("axis").text_content() == axis


def test_everything_has_a_key(reader: Reader):
    page = reader.page
    canvas = page.locator(".stage canvas")
    canvas.focus()
    page.keyboard.press("1")
    assert page.locator('[data-view="left-outer"]').get_attribute("aria-pressed") == "true"
    seen = [reader.pixels()]
    for key in ("ArrowLeft", "ArrowUp", "+"):
        page.keyboard.press(key)
        seen.append(reader.pixels())
        assert seen[-1] != seen[-2], key
    region, sample = reader.state("region"), int(reader.state("sample"))
    page.keyboard.press("Enter")
    middle = reader.state("region")
    page.keyboard.press("n")
    assert reader.state("region") not in (region, middle)
    page.keyboard.press(",")
    assert int(reader.state("sample")) == sample - 1
    reader.part("time").fill("0")  # a slow machine plays to the end before it is asked, otherwise
    canvas.focus()
    page.keyboard.press("Space")
    assert reader.state("playing") == "true"
    page.keyboard.press("Space")
    assert reader.state("playing") == "false"


def test_peaks_can_be_gone_to(reader: Reader):
    reader.part("peaks").locator("button").nth(2).click()
    assert reader.part("when").text_content() == "185\u202fms"
    assert "ccipital" in (reader.part("place").text_content() or "")


def test_slices_show_the_place_chosen_and_can_be_clicked(reader: Reader):
    """A click on the axial slice goes to the other hemisphere; all three slices follow."""
    reader.part("peaks").locator("button").nth(0).click()
    slices = ('[data-plane="sagittal"]', '[data-plane="coronal"]', '[data-plane="axial"]')
    before, place = [reader.pixels(one) for one in slices], reader.part("mni").text_content()
    axial = reader.page.locator(slices[2])
    axial.scroll_into_view_if_needed()
    box = axial.bounding_box()
    axial.click(position={"x": 0.8 * box["width"], "y": 0.55 * box["height"]})
    assert reader.part("mni").text_content() != place
    assert "right" in (reader.part("place").text_content() or "")
    assert all(reader.pixels(one) != old for one, old in zip(slices, before, strict=True))
    painted = reader.pixels(slices[2])
    reader.part("threshold").fill("95")
    assert reader.pixels(slices[2]) != painted
    reader.part("threshold").fill("0")


def test_the_pointer_is_told_the_name_it_rests_on(reader: Reader):
    reader.page.locator('[data-view="left-outer"]').click()
    canvas = reader.page.locator(".stage canvas")
    canvas.scroll_into_view_if_needed()
    canvas.hover(position={"x": 300, "y": 250})
    reader.page.wait_for_selector('[data-part="tip"]:visible')
    said = reader.part("tip").text_content() or ""
    assert said.startswith("left ")
    assert "nAm" in said
    canvas.hover(position={"x": 20, "y": 300})
    reader.page.wait_for_selector('[data-part="tip"]', state="hidden")


def test_the_view_is_saved_as_a_picture(reader: Reader, tmp_path: Path):
    with reader.page.expect_download() as handed:
        reader.part("save").click()
    file = tmp_path / handed.value.suggested_filename
    handed.value.save_as(file)
    assert file.suffix == ".png"
    assert "-ms" in file.name
    with Image.open(file) as image:
        assert image.width == 2000
        shades = image.convert("RGB").resize((100, 80)).getcolors(8000)
    assert shades is not None
    assert len(shades) > 100
    shutil.copy(file, SHOTS / "saved.png")
    assert reader.complaints == []


def test_every_control_can_be_reached_and_has_a_name(reader: Reader):
    nameless = reader.page.evaluate(
        """() => [...document.querySelectorAll('.explorer button, .explorer input, .stage canvas')]
        .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.closest('label')))
        .map((e) => e.outerHTML)"""
    )
    assert nameless == []
    assert reader.complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(1000, "dark"), (390, "light")])
def test_dark_and_narrow(reader: Reader, width: int, scheme: str):
    page = reader.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    for _ in range(200):  # the page's policy forbids the driver's own way of waiting
        if page.evaluate(DRAWN_ANEW):
            break
        page.wait_for_timeout(50)
    page.locator("#explore").screenshot(path=SHOTS / f"explore-{scheme}-{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert reader.complaints == []


def test_paper_and_readers_without_scripts_get_the_still_maps(browser: Any, path: Path):
    reader = Reader(browser, path, scripts=False)
    assert not reader.page.locator(".explorer").is_visible()
    assert "Turning the cortex needs scripts" in reader.page.locator("#explore").inner_text()
    assert reader.page.locator("#cortex img").first.is_visible()
    reader.page.emulate_media(media="print")
    assert not reader.page.locator("#explore").is_visible()
    reader.page.pdf(path=SHOTS / "print.pdf")
    reader.close()


def test_hostile_names_are_shown_and_run_nothing(browser: Any, tmp_path: Path):
    content = doubted(make_content(n_channels=8, n_times=11, space="ico3"))
    evil = " ".join((*HOSTILE, "</script><script>window.ran = 1</script>", "\u2028<!--<script>"))
    info = content.info.copy()
    mne.rename_channels(info, dict(zip(info["ch_names"], [*HOSTILE, evil], strict=False)))
    peaks = tuple(replace(peak, lobe=evil, hemisphere=evil) for peak in content.peaks)
    assert content.uncertainty is not None
    doubt = replace(content.uncertainty, name=evil, how=evil)
    file = tmp_path / "hostile.html"
    page = render_page(
        replace(content, title=evil, info=info, peaks=peaks, cautions=(evil,), uncertainty=doubt),
        height=44,
    )
    file.write_text(page.replace("<footer>", "<script>window.ran = 2</script><footer>"), "utf-8")
    reader = Reader(browser, file)
    assert "window.ran" in (reader.part("peaks").text_content() or "")
    assert reader.page.evaluate("window.ran") is None
    # A script that did get in is refused by the policy, and nothing else is complained about.
    assert len(reader.complaints) == 1
    assert "Content Security Policy" in reader.complaints[0]
    reader.close()


def test_without_webgl_time_courses_and_head_maps_remain(browser: Any, path: Path):
    reader = Reader(browser, path, before=NO_WEBGL)
    assert reader.state("ready") == "flat"
    assert reader.part("no3d").is_visible()
    sample = int(reader.state("sample"))
    reader.part("time").press("ArrowRight")
    assert int(reader.state("sample")) == sample + 1
    assert reader.part("course").locator(".curve").count() == 1
    reader.close()
