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


LINES, PARAMETERS = 60, 8

BY_NAME = {
    "imager/imager.py __init__": "the options of a user, read off the signature",
    "learned/mmnet.py __init__": "the options of a solver, read off the signature by the registry",
    "learned/unfolded.py __init__": "the options of a solver",
    "weights/sbl.py unfolded_sbl": "the options of a solver, as `--option NAME=VALUE` gives them",
    "inverse.py make_inverse_operator": "named as by MNE",
    "inverse.py apply_inverse_epochs": "named as by MNE",
    "inverse.py apply_inverse_raw": "named as by MNE",
}
"""Whose parameters a user gives by name, many as they are; beside the commands and what they hand
their options to."""


def sizes(node: ast.FunctionDef, *, command: bool) -> tuple[int, int]:
    """Lines without the docstring (of a command: of its body), and parameters without self."""
    documented = ast.get_docstring(node, clean=False) is not None
    first = node.body[int(documented and len(node.body) > 1)]
    lines = (node.end_lineno or 0) - node.lineno + 1
    if documented:
        lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
    if command:
        lines = (node.end_lineno or 0) - first.lineno + 1
    given = node.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return lines, len(names) - (names[:1] in (["self"], ["cls"]))


def test_functions_are_short_and_have_few_parameters() -> None:
    long, many = [], []
    for path in sorted(SRC.rglob("*.py")):
        command = path.relative_to(SRC).parts[0] == "cli"
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            name = f"{path.relative_to(SRC).as_posix()} {node.name}"
            lines, parameters = sizes(node, command=command)
            if lines > LINES:
                long.append(f"{name}: {lines}")
            if parameters > PARAMETERS and not command:
                many.append(name)
    assert long == []
    assert sorted(many) == sorted(BY_NAME)
