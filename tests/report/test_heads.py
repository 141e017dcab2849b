"""The page of a subject's head: sections and what was decided, in the frame of all pages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull
from tests.report.test_page import HOSTILE, assert_sound

from majorant.report.heads import render_head


def ball(radius: float, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    places = np.random.default_rng(0).standard_normal((n, 3))
    places *= radius / np.linalg.norm(places, axis=1, keepdims=True)
    return places, ConvexHull(places).simplices


def test_a_head_is_drawn_and_its_names_do_nothing() -> None:
    head: Any = SimpleNamespace(
        subject=" ".join(HOSTILE),
        cortex=ball(0.065)[0],
        electrodes=ball(0.093, 20)[0],
        shells=SimpleNamespace(surfaces=[ball(r) for r in (0.075, 0.085, 0.092)]),
        notes=HOSTILE,
        cautions=HOSTILE,
    )
    text = render_head(head)
    reader = assert_sound(text)
    assert [attrs["id"] for tag, attrs in reader.tags if tag == "section"] == ["outlines", "notes"]
    assert "3 shells, 20 electrodes" in reader.said
    assert "<script>alert(1)</script>" in reader.said
    assert not reader.scripts
    assert "\u202e" not in text
