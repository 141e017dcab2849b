"""A headless Chromium from the system's packages, for tests of the page as a reader meets it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = 60_000
"""Milliseconds after which something is not going to happen, also on a busy machine."""


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser; skip with a message where there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("the browser tests need chromium; install it from the system's packages")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Reader:
    """A page open in a browser, and everything it complained about.

    Parameters
    ----------
    browser
        Of :func:`chromium`.
    path : Path
        The page.
    width : int
        Of the window, pixels; it is as high as a usual screen, not more, for a software renderer
        draws every pixel.
    scripts : bool
        Whether scripts are switched on.
    before : str
        A script that runs before those of the page.
    """

    def __init__(
        self,
        browser: Any,
        path: Path,
        *,
        width: int = 1000,
        scripts: bool = True,
        before: str = "",
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="light",
            reduced_motion="reduce",
            java_script_enabled=scripts,
            offline=True,
        )
        self.context.add_init_script(before)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.asked_for: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked_for.append(request.url))
        self.page.on("dialog", self._refused)
        self.page.goto(path.as_uri(), wait_until="commit")
        if scripts:
            self.page.wait_for_selector(".explorer[data-ready]")

    def _heard(self, message: Any) -> None:
        # A software renderer reads pixels slowly, and says so.
        if message.type in ("error", "warning") and "GPU stall" not in message.text:
            self.complaints.append(message.text)

    def _refused(self, dialog: Any) -> None:
        self.complaints.append(f"a dialog said {dialog.message}")
        dialog.dismiss()

    def state(self, name: str) -> str:
        """What the explorer says of itself: sample, region, playing, ready."""
        return self.page.locator(".explorer").get_attribute(f"data-{name}") or ""

    def part(self, name: str) -> Any:
        """A part of the explorer."""
        return self.page.locator(f'[data-part="{name}"]')

    def pixels(self, canvas: str = ".stage canvas") -> str:
        """The picture on a canvas; that of the cortex by default."""
        return self.page.locator(canvas).evaluate("(canvas) => canvas.toDataURL()")

    def close(self) -> None:
        self.context.close()
