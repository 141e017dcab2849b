"""Every file of weights has a model card that hubs can read, and its figures are the file's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

from benchmarks.cards import cards, front  # noqa: E402

from majorant.citations import entries  # noqa: E402
from majorant.weights.shipped import FOLDER  # noqa: E402

WEIGHTS = sorted(FOLDER.glob("*.safetensors"))


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_the_head_of_a_card_names_licence_library_data_and_metrics(path: Path) -> None:
    text = path.with_suffix(".md").read_text("utf-8")
    _, head, body = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    said = yaml.safe_load(head)
    assert said["license"] == "bsd-3-clause"
    assert said["library_name"] == "majorant"
    for name in ("tags", "datasets", "metrics"):
        assert said[name]
        assert all(isinstance(entry, str) for entry in said[name])
    for model in said.get("model-index", ()):
        for result in model["results"]:
            assert result["task"]["type"]
            assert result["dataset"]["name"] in said["datasets"]
            assert {metric["type"] for metric in result["metrics"]} <= set(said["metrics"])
    assert f"# {path.stem}" in body
    cited = re.findall(r"\(`(\w+)`\)", body)
    assert {entry.key for entry in entries()} >= set(cited) != set()


def test_cards_are_what_the_files_say() -> None:
    for place, text in cards().items():
        assert place.read_text("utf-8") == text, (
            f"{place.name} is not of these weights: run python -m benchmarks.cards"
        )


def test_figures_come_from_the_file() -> None:
    head, held = front(FOLDER / "mm-net-sereega.safetensors")
    results = head["model-index"][0]["results"][0]["metrics"]
    by_name = {metric["name"]: metric["value"] for metric in results}
    assert by_name["sereega, LE"] == held["metrics"]["test"]["sereega"]["LE"][0]
