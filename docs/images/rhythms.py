"""Make rest.png and connectivity.png: ``python docs/images/rhythms.py`` (needs playwright).

Simulates two minutes of rest on the template (64 electrodes): a background with a 1/f spectrum all
over the cortex, a rhythm of 10 Hz in the right occipital cortex, and one in the right parietal
cortex of which a part follows the first by 25 ms. Images it with the commands of docs/rest.md and
docs/connectivity.md and photographs the pages with chromium.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import mne
import numpy as np
from playwright.sync_api import sync_playwright

from majorant import SourceImager
from majorant.cli import main
from majorant.head.places import locate

HERE = Path(__file__).parent
SFREQ, SECONDS = 250.0, 120.0
OCCIPITAL, PARIETAL, SIZE_MM = (15.0, -90.0, 5.0), (38.0, -45.0, 55.0), 12.0


def resting(file: Path, seed: int = 0) -> None:
    """Write the recording."""
    rng, n_times = np.random.default_rng(seed), round(SFREQ * SECONDS)
    montage = mne.channels.make_standard_montage("biosemi64")
    info = mne.create_info(montage.ch_names, SFREQ, "eeg", verbose="error")
    info.set_montage(montage)
    lead = SourceImager("mne", space="ico3", loose=0).fit(info).leadfield_
    mni, gain = locate(lead).mni, lead.gain.numpy()
    frequencies = np.fft.rfftfreq(n_times, 1 / SFREQ)

    def shaped(weight: np.ndarray, n: int) -> np.ndarray:
        noise = rng.standard_normal((2, n, len(frequencies)))
        course = np.fft.irfft((noise[0] + 1j * noise[1]) * weight, n_times)
        return course / course.std(axis=1, keepdims=True)

    alpha = np.exp(-0.5 * ((frequencies - 10) / 1.2) ** 2)
    first, own = shaped(alpha, 2)
    late = 0.6 * np.roll(first, round(0.025 * SFREQ)) + 0.8 * own
    sources = 4e-9 * shaped(1 / np.sqrt(np.maximum(frequencies, 1)), len(mni))
    for place, course in ((OCCIPITAL, first), (PARIETAL, late)):
        patch = np.linalg.norm(mni - place, axis=1) < SIZE_MM
        sources[patch] += 50e-9 * course / np.sqrt(patch.sum())
    data = gain @ sources
    data += 0.3e-6 * rng.standard_normal(data.shape)
    mne.io.RawArray(data, info, verbose="error").save(file, verbose="error")


def imaged(*words: str) -> None:
    """Run a command of the package."""
    try:
        main(list(words))
    except SystemExit as end:
        if end.code:
            raise


def photograph(pages: dict[str, tuple[Path, str]]) -> None:
    """Write a picture of a part of each page."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 1200}, color_scheme="light")
        for name, (file, part) in pages.items():
            page.goto(file.as_uri())
            page.locator(part).first.screenshot(path=HERE / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        rest, out = Path(folder) / "rest_raw.fif", Path(folder) / "out"
        resting(rest)
        same = ("image", str(rest), "--quiet", "--band", "8", "12")
        imaged(*same, "--out", str(out / "rest"))
        imaged(*same, "--connectivity", "imcoh", "--out", str(out / "links"))
        photograph(
            {
                "rest": (out / "rest" / "report.html", "#cortex"),
                "connectivity": (out / "links" / "report.html", "#figure-links"),
            }
        )
