"""The template head, built once for all tests of this folder (and all their processes)."""

from __future__ import annotations

from pathlib import Path

import pytest

from majorant.forward.leadfield import Leadfield


@pytest.fixture(scope="session")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that the processes of one run share."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    return shared / "template-cache"


@pytest.fixture
def cached(cache_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point Majorant at that folder."""
    monkeypatch.setenv("MAJORANT_CACHE", str(cache_path))
    return cache_path


@pytest.fixture(scope="session")
def regions() -> Leadfield:
    """The packaged lead field."""
    return Leadfield.template_small()
