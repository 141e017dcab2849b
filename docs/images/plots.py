"""Make the plots of the how-to pages: ``python docs/images/plots.py [NAME ...]``.

Nothing is typed in: `outside` runs the first code of its page, `head-error` and `general` read the
tables of theirs, `live` follows a simulated stream, `prior` draws the first samples of two training
sets. Names are those of the pictures; without one, all are made, in about a minute.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("agg")
import matplotlib.pyplot as plt
import mne
from matplotlib.figure import Figure

from majorant import Leadfield, SourceImager
from majorant.live.chunks import Chunk
from majorant.live.conditioner import Conditioner
from majorant.live.engine import engine_for
from majorant.live.follow import Following, follow
from majorant.live.regions import LiveRegions, find_regions
from majorant.live.sinks import Table
from majorant.report.colour import BLUE, BROWN, INK, MUTED, PURPLE
from majorant.simulate.dataset import SereegaLike
from majorant.simulate.general import OneHead
from majorant.simulate.heads import SimulatedHead
from majorant.training.presets import preset

HERE = Path(__file__).parent
NUMBER = re.compile(r"[-+]?\d+\.?\d*")
WIDTH = 7.0
SFREQ, SECONDS, HOP, FREQUENCY = 500.0, 4.0, 5, 10.0
"""Of the simulated stream: Hz, s, samples of a chunk, Hz of its rhythm."""
FIRST = 8
"""Samples of a training set that are drawn."""

Row = dict[str, str]


def text_of(page: str) -> str:
    """Return a page as it stands."""
    return (HERE.parent / page).read_text("utf-8")


def table_of(page: str, first: str) -> list[Row]:
    """Return the rows of the table whose first heading is this, cells as they stand."""
    lines = text_of(page).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    cells = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    heads, _, *rows = cells
    return [dict(zip(heads, row, strict=True)) for row in rows]


def numbers(cell: str) -> list[float]:
    """Return the numbers of a cell."""
    return [float(found) for found in NUMBER.findall(cell)]


def plain(axis: Any) -> None:
    """Leave out what carries nothing."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=MUTED)


def outside() -> Figure:
    """The page's first code, and the two unknowns that did something."""
    code = re.search(r"```python\n(.*?)```", text_of("outside-eeg.md"), re.DOTALL)
    assert code is not None
    made: dict[str, Any] = {}
    exec(code[1], made)  # the page is part of this repository
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.6), sharey=True, layout="constrained")
    truth, estimate = made["x"], made["found"].estimate
    for axis, row in zip(axes, np.flatnonzero(truth.any(1)), strict=True):
        axis.plot(estimate[row], color=BROWN.tint(0.6), lw=2, label="estimate")
        axis.plot(truth[row], ":", color=INK, lw=1.6, label="truth")
        axis.set(title=f"unknown {row} of {len(truth)}", xlabel="sample")
        plain(axis)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=2, loc="outside lower center")
    return figure


def head_error() -> Figure:
    """Differences from the same solver as it is, with their intervals."""
    shown = {"le": "localisation error, mm", "found": "share of sources found"}
    rows = [row for row in table_of("head-error.md", "solver") if row["way"] != "as it is"]
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.6), sharey=True, layout="constrained")
    for axis, (key, words) in zip(axes, shown.items(), strict=True):
        for at, row in enumerate(rows):
            _, difference, half = numbers(row[key])
            tint = (BROWN if row["solver"] == rows[0]["solver"] else BLUE).tint(0.65)
            axis.errorbar(difference, at, xerr=half, fmt="o", color=tint, capsize=3)
        axis.axvline(0, color=MUTED, lw=0.8)
        axis.set(xlabel=f"{words}: difference")
        plain(axis)
    labels = [f"{row['solver']}, {row['way']}" for row in rows]
    axes[0].set_yticks(range(len(rows)), labels)
    axes[0].invert_yaxis()
    return figure


def general() -> Figure:
    """Localisation errors by cap."""
    rows = table_of("general.md", "electrodes")
    caps = sorted({int(row["electrodes"]) for row in rows})
    shown = {"all samples": "LE mm", "those of one source": "LE, one source"}
    colours = {
        "sLORETA": BLUE.tint(0.6),
        "MM-Net, SEREEGA": PURPLE.tint(0.6),
        "MM-Net, general": BROWN.tint(0.6),
    }
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.8), sharey=True, layout="constrained")
    for axis, (title, key) in zip(axes, shown.items(), strict=True):
        for name, colour in colours.items():
            own = [numbers(row[key])[0] for row in rows if row["solver"] == name]
            axis.plot(range(len(caps)), own, "o-", color=colour, label=name)
        axis.set(title=title, xlabel="electrodes", ylim=(0, None))
        axis.set_xticks(range(len(caps)), [str(cap) for cap in caps])
        plain(axis)
    axes[0].set_ylabel("localisation error, mm")
    axes[0].legend(frameon=False, loc="lower left", fontsize="small")
    return figure


def prior() -> Figure:
    """Courses of the first samples of two training sets: what a network comes to expect."""
    lead = Leadfield.template_small()
    narrow = SereegaLike(lead, seed=preset("cpu").data_seed)
    head = SimulatedHead(narrow.leadfield, narrow.leadfield)
    mixed = OneHead(head, seed=preset("general").data_seed)
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.2), layout="constrained")
    for axis, name, data in zip(axes, ("sereega", "general"), (narrow, mixed), strict=True):
        batch = data.batch(range(FIRST))
        ms = 1e3 * np.arange(data.n_times) / data.sfreq
        courses = batch.time[:, None] if data is narrow else batch.times
        for k, own in enumerate(courses.numpy()):
            for course in own:
                share = np.abs(course).max() > 0
                tint = (BLUE if data is narrow else BROWN).tint(0.65)
                axis.plot(ms, course - 2.2 * k, color=tint, lw=1.2, alpha=float(share))
        axis.set(title=f"--data {name}", xlabel="ms", yticks=[])
        plain(axis)
        axis.spines["left"].set_visible(False)
    axes[0].set_ylabel(f"samples 0 to {FIRST - 1}")
    return figure


def live() -> Figure:
    """The course of a region out of a stream, beside what was simulated there."""
    names = mne.channels.make_standard_montage("biosemi64")
    info = mne.create_info(names.ch_names, SFREQ, "eeg", verbose="error")
    info.set_montage(names)
    imager = SourceImager("sloreta", space="regions").fit(info)
    region = find_regions(imager.leadfield_, ["left occipital"])
    times, truth, data = _recorded(imager.leadfield_, region)
    sent: list[float] = [0.0]

    def chunks() -> Iterator[Chunk | None]:
        for start in range(0, len(times), HOP):
            part = slice(start, start + HOP)
            sent[0] = float(times[part][-1])
            yield Chunk(data[:, part], times[part], SFREQ)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.csv"
        table = Table(file, region.names)
        follow(chunks(), engine_for(imager, region, SFREQ), table, lambda: sent[0])
        table.close()
        at, course = np.loadtxt(file, delimiter=",", skiprows=1, unpack=True)
    delay = 1e3 * Conditioner(Following().band, SFREQ).delay(FREQUENCY)
    figure, axis = plt.subplots(figsize=(WIDTH, 2.6), layout="constrained")
    axis.plot(at, course / np.abs(course).max(), color=BROWN.tint(0.6), lw=1.6, label="run.csv")
    axis.plot(times, truth / np.abs(truth).max(), ":", color=INK, lw=1.4, label="simulated")
    axis.set(xlim=(1.7, 2.8), xlabel="s", ylabel="left occipital, of the largest")
    axis.set_title(f"the filter delays {FREQUENCY:g} Hz by {delay:.0f} ms", fontsize="medium")
    axis.legend(frameon=False, loc="lower left", ncols=2)
    plain(axis)
    return figure


def _recorded(
    lead: Leadfield, region: LiveRegions, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return times, the region's course and the electrodes, V: a burst, rest and noise."""
    rng, times = np.random.default_rng(seed), np.arange(round(SFREQ * SECONDS)) / SFREQ
    truth = np.exp(-0.5 * ((times - 2.2) / 0.15) ** 2) * np.sin(2 * np.pi * FREQUENCY * times)
    gain = lead.gain.numpy().astype(np.float64)
    weight = np.zeros(gain.shape[1])
    weight[region.members[0]] = region.flips[0]
    clean = np.outer(gain @ weight, truth)
    rest = gain @ rng.standard_normal((gain.shape[1], len(times)))
    level = np.abs(clean).max()
    noise = 0.1 * rest / rest.std() + 0.1 * rng.standard_normal(clean.shape)
    return times, truth, 20e-6 * (clean / level + noise)


PLOTS: dict[str, Callable[[], Figure]] = {
    "outside": outside,
    "head-error": head_error,
    "general": general,
    "prior": prior,
    "live": live,
}


if __name__ == "__main__":
    mpl.rcParams.update({"font.size": 9, "text.color": INK, "axes.labelcolor": INK})
    for name in sys.argv[1:] or PLOTS:
        PLOTS[name]().savefig(HERE / f"{name}.png", dpi=120)
