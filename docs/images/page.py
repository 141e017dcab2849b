"""Make the pictures of the page: ``python docs/images/page.py`` (needs chromium and playwright).

Images the simulated response and photographs its page: as it opens, and, in dark, how many standard
deviations the estimate is.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from majorant.cli import main

HERE = Path(__file__).parent
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE = 300_000


def photograph(page_file: Path) -> None:
    """Write report.png and explore.png."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(
            viewport={"width": 1160, "height": 1640}, reduced_motion="reduce", color_scheme="light"
        )
        page.set_default_timeout(PATIENCE)
        page.goto(page_file.as_uri(), wait_until="commit")
        page.wait_for_selector(".explorer[data-ready]")
        page.screenshot(path=HERE / "report.png")
        page.emulate_media(color_scheme="dark")
        page.locator('[data-map="ratio"]').click()
        page.locator('[data-view="right-outer"]').click()
        page.locator(".explorer").screenshot(path=HERE / "explore.png")
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        try:
            main(["image", "--demo", "--quiet", "--out", str(out)])
        except SystemExit as end:
            if end.code:
                raise
        photograph(out / "report.html")
