"""Attacks from Python that once got through: one sentence each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from majorant import MajorantError, MatrixOperator, Problem, SourceImager, make, solve
from majorant.files.archive import MAX_FILE, read_archive
from majorant.files.cache import cache_folder
from majorant.forward.leadfield import Leadfield
from majorant.networks.card import Card
from majorant.recording.file import load_recording

GAIN = torch.eye(6, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: make("mne", foo=1), "no option 'foo'"),
        (lambda: make(None), "expected a name"),  # type: ignore[arg-type]
        (lambda: SourceImager(None), "expected a name"),  # type: ignore[arg-type]
        (lambda: SourceImager("mne", snr=1e-300), "ratios of amplitudes lie between"),
        (lambda: MatrixOperator(GAIN.to_sparse()), "sparse"),
        (lambda: Problem(MatrixOperator(GAIN), torch.ones(1, 6, 2).to_sparse()), "sparse"),
        (lambda: Leadfield.from_arrays(1e200 * GAIN), "the gain reaches"),
        (lambda: Leadfield.from_arrays(GAIN, positions=80.0 * torch.ones(6, 3)), "metres"),
        (lambda: Leadfield.from_arrays(GAIN, normals=torch.zeros(6, 3)), "unit vectors"),
        (lambda: Leadfield.from_arrays(GAIN, vertices=torch.arange(6) - 3), "vertices"),
    ],
)
def test_a_value_that_makes_no_sense(call: Any, said: str) -> None:
    with pytest.raises(MajorantError, match=said):
        call()


@pytest.mark.parametrize("rate", [1e9, 0.0, -5.0, float("nan"), True])
def test_a_card_with_a_rate_of_nonsense(rate: float) -> None:
    values = {"name": "mm-net", "settings": {}, "source_space": "x", "sfreq": rate}
    with pytest.raises(MajorantError, match="sampling rate"):
        Card.from_dict(values, "a file")


def test_mm_net_refuses_columns_that_are_not_its_own() -> None:
    lead = Leadfield.template_small()
    order = torch.randperm(994, generator=torch.Generator().manual_seed(0))
    y = torch.ones(1, lead.n_sensors, 16, dtype=torch.float64)
    same = Leadfield.from_arrays(lead.gain[:, order], positions=lead.positions[order])
    solver = make("mm-net")
    for operator in (MatrixOperator(lead.gain[:, order]), same.operator()):
        with pytest.raises(MajorantError, match="source"):
            solve(Problem(operator, y), solver, max_iter=1)
    solver.require(lead.operator())


def test_a_pipe_and_a_hole_are_no_archives(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MajorantError, match="pipe or a device"):
        read_archive(tmp_path / "pipe", kind="x", version=1)
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(MajorantError, match="not a plausible size"):
        read_archive(tmp_path / "hole", kind="x", version=1)


def test_a_record_without_a_plan_ends_no_study(tmp_path: Path) -> None:
    from majorant.bids.study import GIST, KIND, read_record

    entry = dict.fromkeys(GIST, 0)
    whole = {"kind": KIND, "key": "a", "plan": "p", "input": "i", "files": [], "estimates": [entry]}
    path = tmp_path / "a_estimates.json"
    path.write_text(json.dumps(whole))
    assert read_record(path) == whole
    for name in whole:
        path.write_text(json.dumps({key: whole[key] for key in whole if key != name}))
        assert read_record(path) is None
    path.write_text(json.dumps({**whole, "estimates": [{}]}))
    assert read_record(path) is None


def test_a_pipe_is_no_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rec.fif")
    with pytest.raises(MajorantError, match="pipe"):
        load_recording(tmp_path / "rec.fif")


def test_a_cache_of_nobody_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAJORANT_CACHE", "~nosuchuser/x")
    with pytest.raises(MajorantError, match="no such user"):
        cache_folder()
