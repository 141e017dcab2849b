"""Scripts written for version 0.1 find what they import, and are told where it is now."""

from __future__ import annotations

import importlib
import sys

import pytest

from majorant.eeg import MOVED


@pytest.mark.parametrize("name", MOVED)
def test_a_module_of_the_old_room_is_the_new_one(name: str) -> None:
    sys.modules.pop(f"majorant.eeg.{name}", None)
    with pytest.warns(DeprecationWarning, match=rf"majorant\.{MOVED[name]} now"):
        old = importlib.import_module(f"majorant.eeg.{name}")
    new = importlib.import_module(f"majorant.{MOVED[name]}")
    assert old is new
    assert new.__spec__ is not None
    assert new.__spec__.name == new.__name__ == f"majorant.{MOVED[name]}"


def test_other_names_are_not_there() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("majorant.eeg.nonsense")
