"""The packaged head."""

from __future__ import annotations

import pytest

from majorant.forward.leadfield import Leadfield


@pytest.fixture(scope="session")
def regions() -> Leadfield:
    """The packaged lead field."""
    return Leadfield.template_small()
