"""Kill runs at random instants: what is left is the old result or the new one, and nothing else.

    python -m benchmarks.kills               # five jobs, 100 kills each
    python -m benchmarks.kills --kills 10 image audit

Every job has an old result and makes a new one over it. A run is a process of its own, killed by
SIGKILL, half of the time anywhere and half of the time near its end, where it writes. After every
kill the next run *starts* (which sweeps, and finishes what had begun to move) and the place is
looked at: the files are those of the old result or those of the new, to the byte where the job is
deterministic. After every tenth kill a run goes to its end, and after it nothing may be left over.
A continuous recording is gone on with where the killed run had come to.

Runs are forked from one process that has loaded everything, and pages are short ones unless
``--pages`` is given, so that a hundred take minutes, and most of a run is what is tried here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KILLS = 100
NEAR = 0.25
"""Share of a run, on both sides of its usual end, in which half of the kills fall."""


@dataclass
class Job:
    """Something that replaces an old result by a new one.

    Attributes
    ----------
    name : str
    out : Path
        The result.
    old, new : callable
        Make them; run in a process of their own.
    start : callable
        What the next run does first: it sweeps.
    state : callable
        Returns what there is: "old", "new", or what is wrong.
    """

    name: str
    out: Path
    old: Callable[[], Any]
    new: Callable[[], Any]
    start: Callable[[], Any]
    state: Callable[[], str]
    found: dict[str, int] = field(default_factory=dict)


def quiet(run: Callable[[], Any]) -> None:
    """Run without a word; never returns."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    if not os.environ.get("KILLS_LOUD"):
        os.dup2(nothing, 2)
    code = 1
    try:
        run()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        os._exit(code)


def forked(run: Callable[[], Any]) -> int:
    """Start a run in a process of its own; returns its id."""
    process = os.fork()
    if process == 0:
        quiet(run)
    return process


def whole(run: Callable[[], Any]) -> float:
    """Run to the end; returns the seconds."""
    began = time.monotonic()
    _, status = os.waitpid(forked(run), 0)
    assert os.waitstatus_to_exitcode(status) == 0, "a run that was not killed failed"
    return time.monotonic() - began


def killed(run: Callable[[], Any], after: float) -> bool:
    """Run and kill; returns whether it was alive."""
    process = forked(run)
    time.sleep(after)
    done, status = os.waitpid(process, os.WNOHANG)
    if done:
        assert os.waitstatus_to_exitcode(status) == 0, "a run that was not killed failed"
        return False
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return True


def left_over(folder: Path) -> list[str]:
    """What should not be there."""
    signs = (".majorant-", "unfinished", ".part")
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if any(sign in path.name for sign in signs)
    ]


def digest(folder: Path, but: tuple[str, ...] = ()) -> str:
    """Hash of all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part in path.parts for part in but):
            total.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def trial(job: Job, kills: int, dice: random.Random) -> None:
    """Kill a job so often; raises where anything is wrong."""
    whole(job.old)
    assert job.state() == "old", job.state()
    seconds = whole(job.new)
    assert job.state() == "new", job.state()
    # Once more from the old: over what is new already, some jobs have nothing to do.
    whole(job.old)
    seconds = min(seconds, whole(job.new))
    whole(job.old)
    done = missed = 0
    while done < kills:
        near = dice.random() < 0.5
        share = dice.uniform(1 - NEAR, 1 + NEAR) if near else dice.uniform(0.0, 1.0)
        if not killed(job.new, share * seconds):
            missed += 1
        else:
            done += 1
        with suppress(SystemExit):
            whole(job.start)
        state = job.state()
        job.found[state] = job.found.get(state, 0) + 1
        assert state in ("old", "new"), f"{job.name}: {state} after {share:.2f} of a run"
        if done % 10 == 0:
            whole(job.new)
            assert job.state() == "new", job.state()
            rest = left_over(job.out.parent)
            assert not rest, f"{job.name} leaves {rest}"
        if job.state() == "new":
            whole(job.old)
    print(
        f"{job.name}: {done} kills of runs of {seconds:.2f} s ({missed} ended before), found "
        f"{', '.join(f'{n} {state}' for state, n in sorted(job.found.items()))}; nothing left over",
        flush=True,
    )


def command(*words: object) -> Callable[[], Any]:
    """A command of ours, to be run in a process of its own."""

    def run() -> None:
        from majorant.cli import main

        sys.argv = ["majorant", *map(str, words)]
        main([str(word) for word in words])

    return run


def material(folder: Path) -> dict[str, Path]:
    """A recording, its average, a small head and a data set."""
    import mne
    import numpy as np

    rng = np.random.default_rng(0)
    montage = mne.channels.make_standard_montage("biosemi32")
    info = mne.create_info(montage.ch_names, 100.0, "eeg", verbose="error")
    data = 10e-6 * rng.standard_normal((32, 1000))
    raw = mne.io.RawArray(data, info, verbose="error")
    raw.set_montage(montage, verbose="error")
    onsets = np.arange(1.0, 9.0)
    raw.set_annotations(mne.Annotations(onsets, 0.1, "tone"), verbose="error")
    places = {name: folder / name for name in ("rec-raw.fif", "rec-ave.fif", "head-fwd.fif")}
    raw.save(places["rec-raw.fif"], verbose="error")
    epochs = mne.Epochs(
        raw, mne.events_from_annotations(raw, verbose="error")[0], tmin=-0.2, tmax=0.3,
        baseline=(None, 0), preload=True, verbose="error",
    )  # fmt: skip
    mne.write_evokeds(places["rec-ave.fif"], epochs.average(), verbose="error")
    sphere = mne.make_sphere_model("auto", "auto", raw.info, verbose="error")
    source = mne.setup_volume_source_space(
        pos=30.0, sphere=sphere, sphere_units="m", verbose="error"
    )
    forward = mne.make_forward_solution(raw.info, None, source, sphere, verbose="error")
    mne.write_forward_solution(places["head-fwd.fif"], forward, verbose="error")
    from mne_bids import BIDSPath, write_raw_bids

    for subject in ("01", "02"):
        path = BIDSPath(subject=subject, task="tone", root=folder / "study", datatype="eeg")
        write_raw_bids(raw, path, format="BrainVision", allow_preload=True, verbose="error")
    return {**places, "study": folder / "study"}


def two(name: str, out: Path, words: list[object], old: str, new: str) -> Job:
    """A job whose results differ by the solver, looked at through their summary and files."""
    from majorant.files.output import check_output

    def state() -> str:
        try:
            summary = json.loads((out / "summary.json").read_text())
        except (OSError, ValueError) as error:
            return f"no summary ({error})"
        there = sorted(path.name for path in out.iterdir())
        if there != sorted({*summary["files"], "summary.json"}):
            return f"files {there}"
        if not (out / "report.html").read_text().rstrip().endswith("</html>"):
            return "half a page"
        solver = summary["settings"]["image"]["solver"]
        return {old: "old", new: "new"}.get(solver, solver)

    def run(solver: str) -> Callable[[], Any]:
        return command("image", *words, "--solver", solver, "--out", out, "--overwrite")

    return Job(name, out, run(old), run(new), lambda: check_output(out, overwrite=True), state)


def audits(out: Path) -> Job:
    """An audit over an earlier one of another seed; on a sphere, for the head is not tried."""
    from majorant.account import Account
    from majorant.audit.run import PreparedAudit, run
    from majorant.audit.settings import AuditSettings
    from majorant.audit.store import check_folder, finish, open_folder

    head, cap = sphere_audit()

    def made(seed: int) -> Callable[[], Any]:
        settings = AuditSettings(n=160, levels=2, solvers=("mne", "sloreta"), seed=seed)

        def one() -> None:
            prepared = PreparedAudit(settings, cap, head, Account())
            chunks, _ = open_folder(out, prepared.plan(), overwrite=True)
            run(prepared, chunks, lambda done, total: None)
            summary = {"kind": "audit", "headline": "", "version": "0", "seed": seed}
            page = "<html>" + "x" * 2_000_000
            finish(out, {"audit.html": page, "summary.json": json.dumps(summary)})

        return one

    def state() -> str:
        try:
            summary = json.loads((out / "summary.json").read_text())
        except (OSError, ValueError) as error:
            return f"no summary ({error})"
        there = {path.name for path in out.iterdir()} - {"unfinished"}
        if there != {"audit.html", "summary.json"}:
            return f"files {sorted(there)}"
        return {0: "old", 1: "new"}[summary["seed"]]

    return Job("audit", out, made(0), made(1), lambda: check_folder(out, overwrite=True), state)


def sphere_audit() -> tuple[Any, Any]:
    """A cap on a sphere of 300 places."""
    import numpy as np

    from majorant.audit.cap import Cap
    from majorant.audit.heads import AuditHead
    from majorant.forward.leadfield import Leadfield
    from majorant.head.places import Places

    rng, n = np.random.default_rng(0), 300
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    z = 1 - 2 * (np.arange(n) + 0.5) / n
    flat = np.sqrt(1 - z**2)
    normals = np.c_[flat * np.cos(turn), flat * np.sin(turn), z]
    places = 0.08 * normals
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    first, second = np.nonzero(np.triu(apart < 0.014, 1))
    away = rng.standard_normal((40, 3))
    away[:, 2] = np.abs(away[:, 2])
    away = 0.1 * away / np.linalg.norm(away, axis=1, keepdims=True)
    gap = away[:, None] - places[None]
    gain = (gap * normals).sum(2) / np.linalg.norm(gap, axis=2) ** 3
    lead = Leadfield.from_arrays(
        gain - gain.mean(0), positions=places, normals=normals, edges=np.c_[first, second]
    )
    head = AuditHead(
        believed=lead, gain=lead.gain, vertices=places, edges=lead.edges.numpy(),
        area=np.full(n, 1e4 * 4 * np.pi * 0.08**2 / n), home=np.arange(n),
        places=Places(
            1e3 * places, (places[:, 0] > 0).astype(np.int64), np.arange(n) * 34,
            lead.edges.numpy(), None, True,
        ),
        depth=90.0 - 1e3 * places[:, 2], depth_word="below the top", differs="They are one.",
    )  # fmt: skip
    return head, Cap("a cap", lead.ch_names, away, 20, 40)


def clips(out: Path) -> Job:
    """A collection of several shards that is extended."""
    from majorant.files.write import sweep
    from majorant.simulate.neural_mass_clips import ClipRecipe, ClipSettings
    from majorant.simulate.neural_mass_shards import read_clips, write_clips

    recipe = ClipRecipe(settings=ClipSettings(runs=4, blocks=4, background=8))

    def old() -> None:
        shutil.rmtree(out, ignore_errors=True)
        write_clips(recipe, 10, out)

    def state() -> str:
        asked = read_clips(out).asked
        return {10: "old", 60: "new"}[asked]

    return Job(
        "simulate", out, old, lambda: write_clips(recipe, 60, out), lambda: sweep(out), state
    )


def studies(out: Path, places: dict[str, Path]) -> Job:
    """A data set imaged over an earlier study with another solver."""

    def run(solver: str) -> Callable[[], Any]:
        return command(
            "image", "--bids", places["study"], "--task", "tone", "--forward",
            places["head-fwd.fif"], "--solver", solver, "--uncertainty", "none", "--out", out,
            "--overwrite",
        )  # fmt: skip

    def start() -> None:
        from majorant.files.write import sweep

        for place in out.glob("majorant/sub-*/eeg"):
            sweep(place)
        sweep(out / "majorant")

    def state() -> str:
        from majorant.bids.study import read_record

        found = set()
        for place in sorted(out.glob("majorant/sub-*/eeg")):
            records = list(place.glob("*_estimates.json"))
            record = read_record(records[0]) if len(records) == 1 else None
            if record is None:
                return f"no whole record in {place.name}"
            if {path.name for path in place.iterdir()} != {records[0].name, *record["files"]}:
                return f"files {sorted(path.name for path in place.iterdir())}"
            summary = next(place.glob("*_summary.json"))
            found.add(json.loads(summary.read_text())["settings"]["image"]["solver"])
        # One recording may be new while the next is old: each is a result of its own.
        return "new" if found == {"sloreta"} else "old" if found <= {"mne", "sloreta"} else "odd"

    return Job("bids", out, run("mne"), run("sloreta"), start, state)


def main() -> None:
    """Run the jobs that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", nargs="*", help="image, raw, audit, simulate, bids; default: all")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pages", action="store_true", help="draw the pages")
    asked = parser.parse_args()
    # GNU's OpenMP does not bear a fork once it ran.
    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_THREADING_LAYER": "workqueue"}
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked.jobs = asked.jobs or ["simulate", "image", "raw", "bids", "audit"]
        if not asked.pages and {"image", "raw", "bids"} & set(asked.jobs):
            short_pages()
        places = material(folder) if {"image", "raw", "bids"} & set(asked.jobs) else {}
        head = ["--forward", folder / "head-fwd.fif", "--uncertainty", "none"]
        rooms = {job: folder / job for job in ("image", "raw", "audit", "simulate", "bids")}
        for room in rooms.values():
            room.mkdir()
        average = [folder / "rec-ave.fif", *head]
        continuous = [folder / "rec-raw.fif", "--raw", *head]
        if "raw" in asked.jobs:
            step_often()
        jobs = {
            "image": lambda: two("image", rooms["image"] / "out", average, "mne", "sloreta"),
            "raw": lambda: two("raw", rooms["raw"] / "out", continuous, "mne", "sloreta"),
            "audit": lambda: audits(rooms["audit"] / "out"),
            "simulate": lambda: clips(rooms["simulate"] / "out"),
            "bids": lambda: studies(rooms["bids"] / "out", places),
        }
        for job in asked.jobs:
            # Loaded and made once, here: what is forked has it.
            made = jobs[job]()
            with suppress(SystemExit):
                warm(made)
            trial(made, asked.kills, random.Random(f"{asked.seed} {job}"))


def short_pages() -> None:
    """Draw nothing: pages are written, and say nothing."""
    import majorant.report.page as page

    text = "<html>" + "x" * 2_000_000 + "</html>\n"
    page.render_page = lambda *_, **__: text


def step_often() -> None:
    """Keep a step after every piece: our recording is short, and is to be gone on with."""
    import majorant.imager.streams as streams
    import majorant.imaging.progress as progress

    streams.PIECE_BYTES, progress.EVERY = 8 * 64 * 700, 0.0


def warm(job: Job) -> None:
    """Run once in this process, so that its children have loaded everything."""
    keep = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        job.old()
    finally:
        os.dup2(keep, 1)


if __name__ == "__main__":
    main()
