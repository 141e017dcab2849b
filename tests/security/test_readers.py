"""A share of `benchmarks/fuzz.py`: damaged files and odd words end in a sentence or are read."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from majorant.errors import MajorantError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[Random], None]]:
    spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    made: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = made
    spec.loader.exec_module(made)
    return made.all_readers(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["archives", "leadfields", "imagers", "things", "cards", "json", "records", "lists", "options"],
)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(dice=st.randoms(use_true_random=False))
def test_a_reader_reads_or_refuses(
    readers: dict[str, Callable[[Random], None]], name: str, dice: Random
) -> None:
    with suppress(MajorantError):
        readers[name](dice)
