"""The commands of the README, small: each runs from its words to its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .calling import runs


def test_the_demonstration_is_judged_by_its_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = tmp_path / "demo", tmp_path / "found.json"
    runs("image", "--demo", "--space", "ico3", "--out", out, "--json", file)
    told = capsys.readouterr()
    assert "Against the simulated truth" in told.out
    # A slow machine is told how far the work is, and nobody is told anything else.
    assert all("so far" in line for line in told.err.splitlines())
    summary = json.loads((out / "summary.json").read_text())
    assert json.loads(file.read_text()) == {**summary, "out": str(out)}
    runs("cite", out)
    cited = capsys.readouterr().out
    assert all(key in cited for key in ("ziskind1988", "gramfort2013", "fischl1999"))
    assert "wipf2010" not in cited
    assert len(summary["truth"]) == 2
    places = [v for name, v in summary["errors"].items() if "nearest peak away" in name]
    assert len(places) == 2
    assert max(places) < 30
    assert summary["certificate"]["holds"] is True
    assert summary["versions"]["mne"]
    assert summary["decisions"]
    assert "simulated" in (out / "report.html").read_text().lower()


def test_table_1_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.json"
    runs(
        "bench", "table1", "--test", "sereega", "--methods", "mne,sloreta", "--n", 4, "--json", file
    )
    assert "Table I on sereega" in capsys.readouterr().out
    assert [row["method"] for row in json.loads(file.read_text())] == ["mne", "sloreta"]


def test_training_starts_from_packaged_weights_by_name(tmp_path: Path) -> None:
    from majorant.cli.train import _packaged
    from majorant.weights.shipped import shipped

    assert _packaged(Path("sereega"), "mm-net") == shipped("mm-net", "sereega")
    own = tmp_path / "own.safetensors"
    assert _packaged(own, "mm-net") == own
    assert _packaged(None, "mm-net") is None
