"""Make the pictures of the how-to pages: ``python docs/images/howto.py [GROUP]``.

Images the simulated response with its regions and photographs parts of its page (needs chromium and
playwright). GROUP is what ``python -m benchmarks.group_heads study 30
GROUP`` wrote; without it the pictures of groups and data sets are left as they are.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from majorant.cli import main

HERE = Path(__file__).parent
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE = 300_000
DEMO = {
    "cortex": "#map-1",
    "peaks": "#peaks",
    "slices": ".slices",
    "sensors": "#sensors",
    "roi": "#figure-interest",
    "certificate": "#certificate",
    "settings": "#decisions",
}
"""Pictures of the demonstration's page, by the part that each shows."""
REGION = {"region": "#map-region"}
GROUP = {"group": "#explore"}
STUDY = {"bids": "body"}


def photograph(browser: Any, file: Path, parts: Mapping[str, str], width: int = 1000) -> None:
    """Write a picture of every part of a page."""
    page = browser.new_page(
        viewport={"width": width, "height": 900}, reduced_motion="reduce", color_scheme="light"
    )
    page.set_default_timeout(PATIENCE)
    page.goto(file.as_uri(), wait_until="commit")
    page.wait_for_load_state("load")
    for name, selector in parts.items():
        page.locator(selector).first.screenshot(path=HERE / f"{name}.png")
    page.close()


def phone(browser: Any, file: Path) -> None:
    """Write a picture of the page as a phone shows its beginning."""
    page = browser.new_page(
        viewport={"width": 390, "height": 844}, device_scale_factor=2, color_scheme="light"
    )
    page.goto(file.as_uri(), wait_until="commit")
    page.wait_for_load_state("load")
    page.screenshot(path=HERE / "phone.png")
    page.close()


def save(browser: Any, file: Path) -> None:
    """Press the button that saves the view."""
    page = browser.new_page(viewport={"width": 1160, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE)
    page.goto(file.as_uri(), wait_until="commit")
    page.wait_for_selector(".explorer[data-ready]")
    with page.expect_download() as handed:
        page.locator('[data-part="save"]').click()
    handed.value.save_as(HERE / "saved.png")
    page.close()
    with Image.open(HERE / "saved.png") as full:
        full.convert("RGB").reduce(2).quantize(128).save(HERE / "saved.png", optimize=True)


def run(*words: object) -> None:
    """Call a command as a user does."""
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        out = Path(folder) / "demo"
        run("image", "--demo", "--quiet", "--roi", "all", "--out", out)
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        report = out / "report.html"
        photograph(browser, report, DEMO)
        phone(browser, report)
        save(browser, report)
        run("image", "--demo", "--quiet", "--region", "0.9", "--out", Path(folder) / "region")
        photograph(browser, Path(folder) / "region" / "report.html", REGION)
        if len(sys.argv) > 1:
            group = Path(sys.argv[1])
            photograph(browser, group / "group" / "group.html", GROUP)
            (study,) = (group / "study" / "derivatives" / "majorant").glob("*.html")
            photograph(browser, study, STUDY)
        browser.close()
