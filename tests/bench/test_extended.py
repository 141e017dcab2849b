"""The rows beyond the published table: one thing changed in each."""

from __future__ import annotations

import pytest
import torch

from majorant.bench import extended
from majorant.forward.leadfield import Leadfield
from majorant.learned.mmnet import MMNet
from majorant.learned.unrolled import MMNetSettings, MMNetwork


@pytest.fixture(scope="module")
def solver() -> MMNet:
    settings = MMNetSettings(
        300, 4, (1, 3, 1), hidden=3, outer=1, iterations=3, start="sloreta", rate=64.0
    )
    return MMNet(MMNetwork(settings, torch.Generator().manual_seed(0)), sfreq=512.0)


def test_every_row_is_there_and_only_unguarded_ones_may_rise(
    sphere: Leadfield, solver: MMNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extended, "LENGTHS", (1, 12))
    monkeypatch.setattr(extended, "LEVELS_DB", (0.0,))
    rows = extended.extended(sphere, 2, solver=solver, heads=False)
    names = [row.method for row in rows]
    assert len(names) == len(set(names)) == 3 + 3 + 2 * 3 + 4 + 2
    assert names[0] == "mm-net"
    free = [row for row in rows if "off" in row.method or "no guard" in row.method]
    assert all(row.violations == 0 for row in rows if row not in free)
    learned = [row for row in rows if row.method.startswith("mm-net")]
    assert all(row.parameters == rows[0].parameters > 0 for row in learned)
    assert all(row.parameters == 0 for row in rows if row not in learned)
