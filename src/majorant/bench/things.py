"""``majorant bench things``: the checks on real data, for every solver.

Either THINGS-EEG2 (:mod:`majorant.bench.things_trials`), or any recording with events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from majorant.bench.things_checks import SOLVERS, Checked, CheckSettings, check, check_noise
from majorant.bench.things_trials import ThingsTrials, load_things
from majorant.problem import MajorantError
from majorant.recording.file import load_recording
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation
from majorant.words import written

RECORDING_WINDOW = (0.08, 0.19)
"""Window of recordings with one response at a time, s: P1 and N1."""


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes
    ----------
    title : str
    say : callable
        From a row to a cell.
    """

    title: str
    say: Callable[[Checked], str]


COLUMNS = (
    Column("solver", lambda c: c.solver),
    Column("occipital", lambda c: f"{100 * c.share:.0f} %"),
    Column("chance", lambda c: f"{100 * c.chance:.0f} %"),
    Column("baseline", lambda c: f"{100 * c.baseline:.0f} %"),
    Column("shuffled channels", lambda c: f"{100 * c.shuffled[0]:.0f} % (p {c.p_shuffled:.3f})"),
    Column("random signs", lambda c: f"{100 * c.flipped[0]:.0f} % (p {c.p_flipped:.3f})"),
    Column("halves r", lambda c: written(c.agreement, ".2f")),
    Column("halves mm", lambda c: f"{c.apart_mm:.0f}"),
    Column("noise slope", lambda c: "" if c.slope is None else written(c.slope, ".2f")),
    Column("noise ratio", lambda c: "" if c.ratio is None else f"{c.ratio:.2g}"),
    Column(
        "noise r",
        lambda c: "" if c.noise_correlation is None else written(c.noise_correlation, ".2f"),
    ),
)


def run_things(
    trials: ThingsTrials,
    settings: CheckSettings,
    solvers: Sequence[str] | None = None,
    *,
    say: Callable[[str], None] = print,
) -> list[Checked]:
    """Make all checks for all solvers.

    Parameters
    ----------
    trials : ThingsTrials
    settings : CheckSettings
    solvers : sequence of str, optional
        Of the registry; those of :data:`majorant.bench.things_checks.SOLVERS` by default.
    say : callable
        Takes a line of text for every solver.

    Returns
    -------
    list of Checked
    """
    rows = []
    for name in solvers or SOLVERS:
        say(f"{name}: {len(trials)} trials")
        rows.append(check_noise(check(name, trials, settings), trials, settings))
    return rows


def table(rows: Sequence[Checked]) -> tuple[list[str], list[list[str]]]:
    """Titles and cells; columns that are empty for every solver are left out."""
    cells = {column.title: [column.say(row) for row in rows] for column in COLUMNS}
    kept = [title for title, column in cells.items() if any(column)]
    return kept, [[cells[title][i] for title in kept] for i in range(len(rows))]


def trials_of(
    data: Path | None,
    recording: Path | None,
    *,
    event: str | None = None,
    montage: str | None = None,
    part: str = "test",
    say: Callable[[str], None] = print,
) -> ThingsTrials:
    """Read one or the other.

    Parameters
    ----------
    data : Path or None
        Folder of THINGS-EEG2.
    recording : Path or None
        Any other recording with events.
    event, montage : str, optional
        Of the recording.
    part : {"test", "training"}
        Of THINGS-EEG2.

    Raises
    ------
    MajorantError
        If neither or both are given, or they cannot be used.
    """
    if (data is None) == (recording is None):
        raise MajorantError("give --data with a folder of THINGS-EEG2, or --recording with a file")
    if data is not None:
        return load_things(data, part, say)
    assert recording is not None
    return recording_trials(recording, event, montage, say)


def recording_trials(
    path: Path,
    event: str | None = None,
    montage: str | None = None,
    say: Callable[[str], None] = print,
) -> ThingsTrials:
    """Cut the trials of a recording: 1 to 40 Hz, average reference, baseline removed.

    Raises
    ------
    MajorantError
        If it is no continuous recording or epochs, or lacks events or places.
    """
    settings = Preparation(event=event, tmin=-0.2, tmax=0.4, filter=(1.0, 40.0), montage=montage)
    prepared = prepare(load_recording(path, say), settings, say)
    if prepared.epochs is None:
        raise MajorantError(
            f"{path.name} holds averages; the checks need single trials: give the recording itself"
        )
    info, times = prepared.evoked.info, np.asarray(prepared.epochs.times)
    data = prepared.epochs.get_data(picks=list(info["ch_names"]))
    data = data - data[:, :, times <= 0].mean(axis=2, keepdims=True)
    data = data - data.mean(axis=1, keepdims=True)
    shown = np.zeros(len(data), dtype=np.int64)
    return ThingsTrials(data.astype(np.float32), times, shown, info, 0, prepared.title)
