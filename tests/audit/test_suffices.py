"""Which cap suffices, an own list of electrodes, and what an audit says while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from majorant.account import Account
from majorant.audit import jobs as jobs_module
from majorant.audit.advice import APART_MM
from majorant.audit.cap import Cap, choose_cap
from majorant.audit.caps import CAPS, channels_of
from majorant.audit.family import family, with_family
from majorant.audit.heads import AuditHead
from majorant.audit.page import _advice
from majorant.audit.run import PreparedAudit, run, summarise
from majorant.audit.settings import AuditSettings
from majorant.audit.suffices import CapLine, which_suffices
from majorant.audit.summary import Audit
from majorant.cli import voice as voice_module
from majorant.cli.voice import Voice, show_line, show_table
from majorant.errors import MajorantError
from majorant.forward.electrodes import align, montage_electrodes
from majorant.forward.template import template_head

SETTINGS = AuditSettings(n=40, levels=2, solvers=("mne", "sloreta"), extent=30.0, seed=3)


class Watched:
    """What an audit said, and when: after how many estimates."""

    def __init__(self, head: AuditHead, cap: Cap, folder: Path) -> None:
        self.lines: list[tuple[int, CapLine]] = []
        self.ahead: list[tuple[int, float]] = []
        self.done, self.total = 0, 0
        self.audit = run(
            PreparedAudit(SETTINGS, cap, head, Account()), folder, self._moved,
            ahead=lambda left: self.ahead.append((self.done, left)),
            told=lambda line: self.lines.append((self.done, line)),
        )  # fmt: skip

    def _moved(self, done: int, total: int) -> None:
        self.done, self.total = done, total


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chunks")


@pytest.fixture(scope="module")
def watched(ball: AuditHead, cap: Cap, chunks: Path) -> Watched:
    return Watched(ball, cap, chunks)


def test_every_cap_is_told_when_it_is_done(watched: Watched) -> None:
    audit = watched.audit
    assert [line.electrodes for _, line in watched.lines] == [job.electrodes for job in audit.jobs]
    at = [done for done, _ in watched.lines]
    assert at == sorted(set(at))
    assert at[0] < watched.total == at[-1]
    for job, (_, line) in zip(audit.jobs, watched.lines, strict=True):
        for name in audit.solvers:
            errors = audit.values(name, job.key)[:, 0]
            assert line.errors[name] == audit.estimate(errors)
            assert line.within[name] == audit.share(errors)
        assert list(line.errors) == sorted(line.errors, key=lambda s: line.errors[s].mean)
    first = watched.lines[0][1].cells()
    assert first[0].startswith("20 electrodes, ")
    assert len(first) == 1 + len(audit.solvers)


def test_the_time_is_estimated_once_at_the_start(
    watched: Watched, ball: AuditHead, cap: Cap, chunks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(watched.ahead) == 1
    assert watched.ahead[0][0] == 0
    assert watched.ahead[0][1] > 0
    # What is finished takes no time, and nothing is tried for it.
    monkeypatch.setattr(jobs_module, "_pace", lambda *_: pytest.fail("nothing is left"))
    assert Watched(ball, cap, chunks).ahead == [(0, 0.0)]


def test_the_estimate_counts_what_is_left(
    watched: Watched, chunks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "_pace", lambda *_: 0.5)
    jobs = watched.audit.jobs
    each = sum(job.n * len(job.levels) for job in jobs)
    data: Any = None
    monkeypatch.setattr(jobs_module, "imager", lambda name, trials: None)
    assert jobs_module.foreseen(jobs, ("mne", "sloreta"), data, tmp_path) == 0.5 * 2 * each
    assert jobs_module.foreseen(jobs, ("mne", "lcmv"), data, chunks) == 0.5 * each


def changed(audit: Audit, errors: Mapping[int, float], noise: float = 0.2) -> Audit:
    """The audit, with errors of so many mm by electrodes."""
    generator = np.random.default_rng(0)
    scores = {
        job.key: {
            name: np.full_like(found, errors[job.electrodes])
            + noise * generator.standard_normal(found.shape)
            for name, found in audit.scores[job.key].items()
        }
        for job in audit.jobs
    }
    return replace(audit, scores=scores)


@pytest.mark.parametrize(
    ("errors", "enough"),
    [
        ({10: 12.0, 20: 12.0, 40: 12.0}, 10),
        ({10: 20.0, 20: 12.0, 40: 11.0}, 20),
        ({10: 20.0, 20: 17.0, 40: 12.0}, None),
        # Better with fewer is no reason to take more.
        ({10: 9.0, 20: 12.0, 40: 12.0}, 10),
    ],
)
def test_the_fewest_electrodes_that_lose_little_suffice(
    watched: Watched, errors: dict[int, float], enough: int | None
) -> None:
    found = which_suffices(changed(watched.audit, errors))
    assert found.electrodes == enough
    assert found.advice.what.startswith("Which cap suffices: ")
    assert (str(enough) if enough else "none of those tried") in found.advice.what
    assert [n for n, _, _ in found.caps] == [10, 20, 40]
    assert f"{APART_MM:g}" in found.advice.why


def test_what_is_not_known_does_not_suffice(watched: Watched) -> None:
    same = {10: 20.0, 20: 20.0, 40: 20.0}
    assert which_suffices(changed(watched.audit, same, noise=0.2)).electrodes == 10
    assert which_suffices(changed(watched.audit, same, noise=60.0)).electrodes is None


def test_the_answer_stands_on_the_page_and_in_the_summary(watched: Watched) -> None:
    found = which_suffices(watched.audit)
    said = summarise(watched.audit, "")["which_cap_suffices"]
    assert said["answer"] == found.advice.what
    assert said["electrodes"] == found.electrodes
    assert [row["electrodes"] for row in said["caps"]] == [10, 20, 40]
    assert found.advice.what in str(_advice(watched.audit))


def test_a_line_in_a_pipe_has_tabs_and_a_long_job_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(voice_module.VERBOSE, raising=False)
    show_line(["20 electrodes", "MNE 3 mm"])
    assert capsys.readouterr().out == "20 electrodes\tMNE 3 mm\n"
    show_table("T", ["a", "b"], [["x", "y"]])
    assert capsys.readouterr().out == "T\na\tb\nx\ty\n"
    Voice().foretell(600.0, "400 patches")
    assert capsys.readouterr().err == "400 patches: about 10 min\n"
    Voice().foretell(3.0, "20 patches")
    Voice(quiet=True).foretell(600.0, "400 patches")
    said = capsys.readouterr()
    assert said.out == said.err == ""


def test_an_own_list_is_read_from_a_file(tmp_path: Path) -> None:
    assert channels_of("Cz, Pz,Oz") == ("Cz", "Pz", "Oz")
    lines = tmp_path / "mine.txt"
    lines.write_text("# my cap\nCz\nPz, Oz  # behind\n\nEEG 001\n")
    assert channels_of(str(lines)) == ("Cz", "Pz", "Oz", "EEG 001")
    table = tmp_path / "sub-01_electrodes.tsv"
    table.write_text("name\tx\ty\tz\nCz\t0\t0\t1\nOz\t0\t-1\t0\n")
    assert channels_of(str(table)) == ("Cz", "Oz")
    bare = tmp_path / "bare.csv"
    bare.write_text("Cz,1\nPz,2\n")
    assert channels_of(str(bare)) == ("Cz", "Pz")
    lines.write_text("# nothing\n")
    with pytest.raises(MajorantError, match="names no electrode"):
        channels_of(str(lines))
    lines.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MajorantError, match="cannot be read as a list"):
        channels_of(str(lines))


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("10-20-19", {32: "10-10-32", 64: "10-10-64"}),
        ("10-10-32", {19: "10-20-19", 64: "10-10-64", 128: ""}),
        ("epoc-14", {32: "10-10-32", 64: "10-10-64"}),
        ("biosemi-32", {16: "biosemi-16", 64: "biosemi-64", 128: "biosemi-128"}),
    ],
)
def test_a_cap_by_name_stands_beside_those_that_people_own(
    name: str, beside: dict[int, str]
) -> None:
    head = template_head()
    alone = choose_cap(AuditSettings(montage=name), head, Account())
    cap = with_family(alone, name, head)
    assert {rung.n: rung.name for rung in cap.ladder} == beside
    assert cap.sizes() == tuple(sorted(beside))
    assert cap.chosen == alone.chosen
    assert cap.rows(cap.n) == list(range(cap.n))
    assert len(set(cap.ch_names)) == len(cap.ch_names) == len(cap.positions)
    apart = np.linalg.norm(cap.positions[:, None] - cap.positions[None], axis=2)
    assert apart[~np.eye(len(apart), dtype=bool)].min() > 0.003
    for n, other in beside.items():
        rows = cap.rows(n)
        assert len(set(rows)) == n
        assert cap.called(n) == (f"{n} electrodes ({other})" if other else f"{n} electrodes")
        if other:
            spec = CAPS[other]
            placed = align(montage_electrodes(spec.montage, spec.channels or None), head)
            gap = np.linalg.norm(cap.positions[rows] - placed.positions, axis=1)
            assert gap.max() <= 0.003
            if spec.channels:
                assert {cap.ch_names[i] for i in rows} == set(spec.channels)


def test_other_caps_are_compared_as_before() -> None:
    head = template_head()
    for settings in (
        AuditSettings(electrodes=32),
        AuditSettings(montage="10-10-64", electrodes=16),
        AuditSettings(montage="10-10-64", channels=CAPS["10-20-19"].channels),
    ):
        cap = choose_cap(settings, head, Account())
        assert with_family(cap, str(settings.montage), head) is cap
    assert family("hydrocel-64") == tuple(f"hydrocel-{n}" for n in (32, 64, 128, 256))


def test_a_list_that_is_not_there_is_no_electrode(tmp_path: Path) -> None:
    with pytest.raises(MajorantError, match="there is no file"):
        channels_of(str(tmp_path / "cap.txt"))
    assert channels_of("Cz") == ("Cz",)
