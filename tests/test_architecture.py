"""The house: no two modules import each other in a circle, and every room has its place."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import networkx
import pytest

pytest.importorskip("grimp", reason="the import graph is read by grimp, of the extra check")

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "majorant"


@cache
def graph() -> networkx.DiGraph:
    import grimp

    found = grimp.build_graph("majorant", cache_dir=None)
    edges = networkx.DiGraph()
    for module in found.modules:
        edges.add_node(module)
        edges.add_edges_from((module, to) for to in found.find_modules_directly_imported_by(module))
    return edges


def circles(edges: networkx.DiGraph) -> list[list[str]]:
    return [sorted(c) for c in networkx.strongly_connected_components(edges) if len(c) > 1]


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    assert circles(graph()) == []


def test_a_circle_would_be_found() -> None:
    edges = networkx.DiGraph(graph())
    edges.add_edge("majorant.errors", "majorant.problem")
    assert circles(edges)


def test_every_room_has_its_place_in_the_order() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contracts["contracts"][0]["layers"]
    placed = {name.strip() for layer in layers for name in layer.split("|")}
    rooms = {".".join(name.split(".")[:2]) for name in graph() if "." in name}
    assert rooms - placed <= {"majorant.__main__"}


def test_the_product_does_not_rest_on_what_developers_measure() -> None:
    imports = re.compile(r"^\s*(from|import) benchmarks", re.MULTILINE)
    assert not [f for f in (ROOT / "src").rglob("*.py") if imports.search(f.read_text())]


def test_no_door_asks_which_learned_solver_it_has() -> None:
    asked = re.compile(r"isinstance\([^)]*(MMNet|UnfoldedSBL|Unrolled)")
    rooms = {"learned", "training", "weights"}
    found = [
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        if path.relative_to(SRC).parts[0] not in rooms and asked.search(path.read_text("utf-8"))
    ]
    assert not found


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path.relative_to(SRC).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
