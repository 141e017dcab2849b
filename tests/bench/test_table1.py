"""The table: its numbers on the template, its formats, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from majorant.bench import table1
from majorant.bench.rows import METRICS, Row, as_csv, as_json, as_markdown, as_table
from majorant.bench.table1 import TableData
from majorant.forward.leadfield import Leadfield
from majorant.learned.fourdvarnet import FourDVarNetwork, FourDVarSettings
from majorant.learned.stored import write_weights
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.problem import MajorantError
from majorant.simulate.neural_mass import Integration
from majorant.simulate.neural_mass_clips import ClipRecipe, ClipSettings
from majorant.simulate.neural_mass_shards import write_clips
from majorant.weights import shipped

KEYS = {"test", "trained_on", "method", "n", "LE", "AUC", "nMSE", "PSNR", "TE"}
KEYS |= {f"{name}_ci" for name in METRICS}
KEYS |= {"violations", "refused", "ms_per_sample", "parameters"}


@pytest.fixture(scope="module")
def rows(template: Leadfield) -> dict[str, Row]:
    made = table1.run(
        "sereega", ["mne", "sloreta", "limit"], TableData(300, leadfield=template), show=False
    )
    return {row.method: row for row in made}


@pytest.mark.parametrize(
    ("method", "le", "auc", "nmse", "psnr", "te"),
    [("mne", 20.3, 86.7, 0.022, 22.0, 2.6), ("sloreta", 11.1, 90.7, 0.044, 19.0, 1.3)],
)
def test_linear_rows_come_out_near_the_known_ones(
    rows: dict[str, Row], method: str, le: float, auc: float, nmse: float, psnr: float, te: float
) -> None:
    found = rows[method].metrics
    assert found["le"].mean == pytest.approx(le, abs=1.5)
    assert found["auc"].mean == pytest.approx(auc, abs=2.0)
    assert found["nmse"].mean == pytest.approx(nmse, abs=0.006)
    assert found["psnr"].mean == pytest.approx(psnr, abs=1.0)
    assert found["te"].mean == pytest.approx(te, abs=0.8)


def test_the_limit_is_near_zero(rows: dict[str, Row]) -> None:
    assert rows["limit"].metrics["le"].mean < 0.2
    assert rows["limit"].metrics["auc"].mean > 99.5


def test_linear_solvers_neither_violate_nor_are_refused_nor_trained(rows: dict[str, Row]) -> None:
    for row in rows.values():
        assert (row.violations, row.refused, row.parameters, row.empty) == (0, 0, 0, 0)
        assert row.trained_on == "-"
        assert row.n == 300
        assert row.ms_per_sample > 0


def test_json_holds_every_promised_key_and_the_published_numbers(rows: dict[str, Row]) -> None:
    read = json.loads(as_json(list(rows.values())))
    for row in read:
        assert set(row) >= KEYS
        for name in METRICS:
            low, high = row[f"{name}_ci"]
            assert low <= row[name] <= high
    assert [row["method"] for row in read] == ["mne", "sloreta", "limit"]
    assert read[0]["paper"] == {"LE": 21.06, "AUC": 82.05, "nMSE": 0.02, "PSNR": 21.85, "TE": 2.72}
    assert read[2]["paper"] is None


def test_csv_is_flat_and_holds_the_same_numbers(rows: dict[str, Row]) -> None:
    made = list(rows.values())
    read = list(csv.DictReader(as_csv(made).splitlines()))
    assert len(read) == 3
    for line, row in zip(read, made, strict=True):
        assert float(line["LE"]) == row.metrics["le"].mean
        assert float(line["AUC_high"]) == row.metrics["auc"].high
    assert read[1]["TE_paper"] == "1.57"
    assert read[2]["TE_paper"] == ""


def test_markdown_and_terminal_show_mean_interval_and_paper(rows: dict[str, Row]) -> None:
    made = list(rows.values())
    lines = as_markdown(made).splitlines()
    widths = {line.count("|") for line in lines[:5]}
    assert len(widths) == 1
    assert "(paper 21.06)" in lines[2]
    screen = io.StringIO()
    Console(file=screen, width=80).print(as_table(made))
    shown = screen.getvalue()
    interval = rows["mne"].metrics["le"]
    assert f"{interval.mean:.2f}" in shown
    assert f"{interval.low:.1f}–{interval.high:.1f}" in shown
    assert "21.06" in shown
    assert "…" not in shown


def test_files_are_written_whole_and_by_suffix(template: Leadfield, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("t.json", "t.csv", "t.md")]
    table1.run(methods=["limit"], on=TableData(3, leadfield=template), files=files, show=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.json", "t.md"]
    assert json.loads(files[0].read_text())[0]["n"] == 3


def test_nothing_is_computed_for_what_cannot_be_done(
    sphere: Leadfield, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table1, "SereegaLike", None)
    for wrong, word in (
        ({"methods": ["mne", "oracle"]}, "oracle"),
        ({"methods": ["mne", "mne"]}, "different"),
        ({"methods": []}, "none"),
        ({"test": "phantom"}, "phantom"),
        ({"files": [tmp_path / "t.xlsx"]}, "json"),
        ({"files": [tmp_path / "nowhere" / "t.json"]}, "folder"),
    ):
        with pytest.raises(MajorantError, match=word):
            table1.run(on=TableData(leadfield=sphere), show=False, **wrong)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_data_set_is_refused(sphere: Leadfield) -> None:
    with pytest.raises(MajorantError, match="empty"):
        table1.run(methods=["limit"], on=TableData(0, leadfield=sphere), show=False)


def test_neural_mass_rows_stand_beside_the_published_ones(template: Leadfield) -> None:
    made = table1.run("nmm", ["mne", "sloreta"], TableData(60, leadfield=template), show=False)
    mne, sloreta = made
    assert (mne.test, mne.trained_on, mne.n) == ("nmm", "-", 60)
    assert mne.paper is not None
    assert mne.paper["TE"] == 185.0
    assert mne.metrics["le"].mean == pytest.approx(20, abs=5)
    assert sloreta.metrics["le"].mean < mne.metrics["le"].mean
    assert sloreta.metrics["psnr"].mean < mne.metrics["psnr"].mean


def test_a_learned_method_has_a_row_for_every_kind_of_data_within_and_across(
    sphere: Leadfield, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    shipped._packaged.cache_clear()
    settings = FourDVarSettings(300, 4, hidden=2, iterations=2, start="sloreta", rate=64.0)
    network = FourDVarNetwork(settings, torch.Generator().manual_seed(0))
    for stem in ("4dvarnet-sereega", "4dvarnet-nmm"):
        write_weights(
            tmp_path / f"{stem}.safetensors",
            network,
            name="4dvarnet",
            source_space=sphere.geometry.fingerprint,
            recipe={},
            metrics={},
        )
    methods = ["sloreta", "4dvarnet"]
    made = table1.run("all", methods, TableData(4, leadfield=sphere), show=False)
    assert [(row.test, row.trained_on, row.method) for row in made] == [
        (test, trained_on, method)
        for test in ("sereega", "nmm")
        for method, trained_on in (
            ("sloreta", "-"),
            ("4dvarnet", "sereega"),
            ("4dvarnet", "nmm"),
        )
    ]
    assert made[1].parameters == sum(p.numel() for p in network.parameters())
    assert all(row.paper is not None for row in made)
    with pytest.raises(MajorantError, match="mm-net"):
        table1.run("nmm", ["mm-net"], TableData(4, leadfield=sphere), show=False)
    shipped._packaged.cache_clear()


def test_a_row_from_another_start_is_there_where_weights_were_trained_from_it(
    sphere: Leadfield, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    shipped._packaged.cache_clear()
    (tmp_path / "table").mkdir()
    settings = MMNetSettings(
        300, 4, (1, 3, 1), hidden=2, outer=1, iterations=2, start="scan", rate=64.0
    )
    write_weights(
        tmp_path / "table" / "mm-net-from-scan-sereega.safetensors",
        MMNetwork(settings, torch.Generator().manual_seed(0)),
        name="mm-net",
        source_space=sphere.geometry.fingerprint,
        recipe={},
        metrics={},
    )
    on = TableData(4, leadfield=sphere)
    (row,) = table1.run("sereega", ["mm-net-from-scan"], on, show=False)
    assert (row.method, row.trained_on, row.violations) == ("mm-net-from-scan", "sereega", 0)
    with pytest.raises(MajorantError, match="mm-net-from-mean"):
        table1.run("sereega", ["mm-net-from-mean"], on, show=False)
    shipped._packaged.cache_clear()


def test_clips_of_a_folder_are_used(sphere: Leadfield, tmp_path: Path) -> None:
    small = ClipSettings(
        n_times=100, source_gain=4.0, integration=Integration(warmup=200), runs=64, background=0
    )
    write_clips(ClipRecipe(small), 60, tmp_path)
    on = TableData(4, leadfield=sphere, clips=tmp_path)
    made = table1.run("nmm", ["sloreta"], on, show=False)
    assert made[0].n == 4
    with pytest.raises(MajorantError, match="no clips"):
        table1.run("nmm", ["sloreta"], replace(on, clips=tmp_path / "none"), show=False)
