"""``rng=`` beside ``seed=`` at every door: what SPEC 7 asks, and no global generator."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from majorant.audit.settings import AuditSettings
from majorant.errors import MajorantError
from majorant.imaging.result import ImageSettings
from majorant.metrics.localisation import bootstrap
from majorant.randomness import seed_of, takes_rng
from majorant.testing import tiny_problem

SRC = Path(__file__).parents[1] / "src" / "majorant"
INNER = {
    "learned/unfolded.py": "an option of a solver, which the command and stored imagers write down",
    "networks/corrections.py": "first weights of a part; training/sbl.py is the door",
    "networks/widening.py": "the same",
    "majorants/cosine.py": "start of an iteration whose result does not depend on it",
    "simulate/timecourses.py": "a table that is made once",
    "training/presets.py": "a record of a run; training/command.py is the door",
    "training/shared.py": "the same",
    "training/growth.py": "the same; training/sbl.py is the door",
    "bench/sbl_meg.py": "heads of a published figure",
    "head/sparse.py": "heads of a published figure",
}
"""Where ``seed`` has a default and is no door."""


def seeded(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Public functions and records whose seed has a default, and whether they take ``rng``."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            continue
        if node.name.startswith("_") and node.name != "__init__":
            continue
        if isinstance(node, ast.ClassDef):
            own = [
                getattr(row.target, "id", "")
                for row in node.body
                if isinstance(row, ast.AnnAssign) and row.value is not None
            ]
        else:
            first = len(node.args.args) - len(node.args.defaults)
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            own = [one.arg for one in node.args.args[first:]]
            own += [one.arg for one, default in pairs if default is not None]
        if "seed" in own:
            yield node.name, any(ast.unparse(d) == "takes_rng" for d in node.decorator_list)


def test_every_door_that_takes_a_seed_takes_a_generator() -> None:
    doors = 0
    for path in sorted(SRC.rglob("*.py")):
        name = path.relative_to(SRC).as_posix()
        text = path.read_text("utf-8")
        if name.startswith("cli/") or name in INNER or "seed" not in text:
            continue
        for door, takes in seeded(ast.parse(text)):
            assert takes, f"{name}: {door} wants @takes_rng of majorant.randomness"
            doors += 1
    assert doors > 25


def test_a_whole_number_is_the_seed() -> None:
    values = torch.randn(9, 2, generator=torch.Generator().manual_seed(1))
    assert bootstrap(values, 50, rng=3) == bootstrap(values, 50, 3)
    assert bootstrap(values, 50) == bootstrap(values, 50, rng=np.int64(0))
    assert "rng" in inspect.signature(bootstrap).parameters


@pytest.mark.parametrize(
    "make", [np.random.default_rng, lambda seed: torch.Generator().manual_seed(seed)]
)
def test_a_generator_moves_on_and_says_the_same_again(make: Callable[[int], Any]) -> None:
    one, other = make(7), make(7)
    first, second = tiny_problem(rng=one).y, tiny_problem(rng=one).y
    assert not torch.equal(first, second)
    assert torch.equal(first, tiny_problem(rng=other).y)
    assert torch.equal(second, tiny_problem(rng=other).y)


def test_whatever_default_rng_takes_is_taken() -> None:
    for rng in (np.random.PCG64(5), np.random.SeedSequence(5), [1, 2, 3]):
        assert 0 <= seed_of(rng) < 2**31
    assert seed_of([1, 2]) == seed_of((1, 2)) != seed_of([2, 1])


def test_records_keep_the_seed_and_nothing_else() -> None:
    settings = ImageSettings(rng=np.random.default_rng(0))
    assert settings.seed == seed_of(np.random.default_rng(0)) != 0
    assert "rng" not in asdict(settings)
    assert replace(settings, snr=2.0).seed == settings.seed
    assert AuditSettings(rng=4) == AuditSettings(seed=4)


@pytest.mark.parametrize(
    ("rng", "said"),
    [
        (-1, "rng is -1; give a whole number from 0"),
        (True, "rng is a bool"),
        (0.5, "rng is a float; give a whole number, a numpy"),
        ("abc", "rng is a str"),
        (np.random.RandomState(0), "rng is a RandomState"),
    ],
)
def test_what_is_no_generator_is_refused(rng: Any, said: str) -> None:
    with pytest.raises(MajorantError, match=said):
        tiny_problem(rng=rng)


def test_both_at_once_are_refused() -> None:
    for call in (
        lambda: tiny_problem(seed=0, rng=0),
        lambda: bootstrap(torch.ones(2, 1), 10, 0, rng=0),
        lambda: ImageSettings(seed=0, rng=0),
    ):
        with pytest.raises(MajorantError, match="seed and rng were both given; give one of them"):
            call()


def test_no_global_generator_moves() -> None:
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    tiny_problem(rng=np.random.default_rng(0))
    assert np.array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.random.get_rng_state())


def test_a_door_without_a_seed_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        takes_rng(lambda n: n)
