"""What solvers promise holds on any head: one that was warped, one of its own, an imported one.

All three have the 994 regions, so that every solver can be asked, and skulls of 162 nodes. ("auto"
is the scan.)
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from majorant.forward.bank import HeadBank
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.foreign import import_leadfield
from majorant.forward.leadfield import Leadfield
from majorant.forward.mesh import coarser_faces
from majorant.forward.template import template_parcels, template_surfaces
from majorant.forward.template_bank import template_anatomy
from majorant.head.imported import regions_by_position
from majorant.head.registration import MEMBERS
from majorant.registry import SOLVERS, make
from majorant.solvers.base import KernelSolver
from majorant.solvers.loop import count_rises
from majorant.testing import QUICK, Bench, tiny_problem

SHEAR = np.array([[0.93, 0.02, 0.0], [0.0, 1.05, 0.03], [0.01, 0.0, 0.97]])
CASES = [
    (name, head)
    for name in SOLVERS
    for head in ("warped", "individual", "imported")
    # A network takes seconds to get ready for a lead field.
    if name != "auto" and (name, head) != ("mm-net", "individual")
]


def imported(folder: Path) -> Leadfield:
    """Regions by position of single dipoles that another tool wrote in mm and mV/(nA m)."""
    small, parcels = Leadfield.template_small(), template_parcels()
    side, vertex = (parcels >= 0).nonzero(as_tuple=True)
    places = template_surfaces().mid[side.numpy(), vertex.numpy()]
    gain = small.gain[:, parcels[side, vertex]].numpy() / MEMBERS
    np.savez(
        folder / "lf.npz",
        gain=1e-6 * gain,
        positions=1e3 * (1e-3 * mni305_to_mni152(places)),
        normals=template_surfaces().normals[side.numpy(), vertex.numpy()],
        ch_names=np.array(small.ch_names),
    )
    return regions_by_position(import_leadfield(folder / "lf.npz").leadfield)[0]


@pytest.fixture(scope="module")
def heads(cached: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Leadfield]:
    """The three lead fields."""
    whole = template_anatomy()
    own = replace(whole, shells=whole.shells[:, :162], shell_faces=coarser_faces(whole.shell_faces))
    bent = {
        name: np.asarray(getattr(own, name)) @ SHEAR.T
        + 0.001 * np.sin(np.asarray(getattr(own, name))[..., [1, 2, 0]] / 0.05)
        for name in ("shells", "scalp", "positions")
    }
    upper = own.shells[2][own.shells[2][:, 2] > 0.0][:24]
    names = [f"E{k}" for k in range(len(upper))]
    warped = HeadBank(
        replace(own, **bent),
        names,
        upper @ SHEAR.T + 0.001 * np.sin(upper[:, [1, 2, 0]] / 0.05),
        space="regions",
    )
    person = HeadBank(own, names, upper, space="regions").draw(1, 3)[0]
    found = {
        "warped": warped.believed,
        "individual": replace(person, shape=(0, 0)).leadfield,
        "imported": imported(tmp_path_factory.mktemp("imported")),
    }
    # Places are reported on fsaverage, whosever head it is.
    small = Leadfield.template_small()
    return {
        name: replace(small, gain=lead.gain, ch_names=lead.ch_names) for name, lead in found.items()
    }


@pytest.mark.parametrize(("name", "head"), CASES)
def test_descent_and_samples_by_themselves(
    heads: dict[str, Leadfield], name: str, head: str
) -> None:
    posed = tiny_problem(1, n_batch=2, n_sensors=12, n_times=6, leadfield=heads[head], seed=4)
    bench = Bench(make(name, **QUICK.get(name, {})), posed, regions=True)
    together = bench.solve()
    alone = bench.solve(replace(posed, y=posed.y[1:]))
    assert bool(torch.isfinite(together.estimate).all())
    assert bench.close(alone.estimate[0], together.estimate[1])
    certificate = together.certificate
    if isinstance(bench.solver, KernelSolver):
        assert certificate.residual is not None
        assert float(certificate.residual.max()) < 1e-5
    else:
        assert certificate.holds()
        assert torch.equal(count_rises(certificate.energy), certificate.violations)
