"""Heads to train and to test sparse Bayesian solvers on, built from the template.

Training mixes caps of 19 to 128 electrodes and three skulls. The test is held on another cap, and
its data come from a head that the solver does not know: another skull, electrodes moved by 5 mm,
and a mesh four times denser. Everything else would be an inverse crime.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from majorant.forward.leadfield import Leadfield
from majorant.forward.template import template_alignment, template_leadfield
from majorant.training.sbl import referenced

TEN_TWENTY = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz"),
    *("P4", "P8", "O1", "O2"),
)
"""The 19 electrodes of the classical cap."""

COARSE, DENSE = "ico3", "ico4"
"""Meshes of 1,284 and 5,124 vertices."""


@dataclass(frozen=True)
class HeadSettings:
    """One head.

    Attributes
    ----------
    montage : str
        Known to MNE.
    ch_names : tuple of str or None
        Electrodes of it; all by default.
    conductivity : tuple of float
        S/m of brain, skull, scalp, as the solver believes them.
    truth : tuple of float
        S/m as the data have them.
    jitter_mm : float
        Deviation of every coordinate of every electrode in the data.
    """

    montage: str
    ch_names: tuple[str, ...] | None = None
    conductivity: tuple[float, float, float] = (0.3, 0.006, 0.3)
    truth: tuple[float, float, float] = (0.3, 0.006, 0.3)
    jitter_mm: float = 0.0


TRAINING: tuple[HeadSettings, ...] = (
    HeadSettings("standard_1020", TEN_TWENTY, truth=(0.3, 0.012, 0.3), jitter_mm=3.0),
    HeadSettings("biosemi32", truth=(0.33, 0.0042, 0.33), jitter_mm=3.0),
    HeadSettings("biosemi64", truth=(0.3, 0.012, 0.3), jitter_mm=3.0),
    HeadSettings("biosemi64", None, (0.33, 0.0042, 0.33), (0.3, 0.006, 0.3), 3.0),
    HeadSettings("biosemi128", truth=(0.33, 0.0042, 0.33), jitter_mm=3.0),
    HeadSettings("biosemi64", truth=(0.3, 0.004, 0.3), jitter_mm=6.0),
    HeadSettings("standard_1020", None, truth=(0.3, 0.01, 0.3), jitter_mm=5.0),
    HeadSettings("biosemi32", truth=(0.3, 0.009, 0.3), jitter_mm=5.0),
    HeadSettings("brainproducts-RNP-BA-128", truth=(0.3, 0.008, 0.3), jitter_mm=6.0),
)
TEST = HeadSettings("easycap-M10", truth=(0.3, 0.009, 0.3), jitter_mm=5.0)
"""61 electrodes, and a skull between those of the training."""


def build(settings: HeadSettings, seed: int = 0) -> tuple[Leadfield, Leadfield]:
    """Build the inverting and the generating lead field of a head.

    Parameters
    ----------
    settings : HeadSettings
    seed : int
        Of the electrodes' jitter.

    Returns
    -------
    inverting : Leadfield
        1,284 vertices, fixed normals, average reference.
    generating : Leadfield
        5,124 vertices, the same sensors.
    """
    names = settings.ch_names
    inverting = template_leadfield(
        settings.montage,
        space=COARSE,
        fixed=True,
        conductivity=settings.conductivity,
        ch_names=names,
    )
    where = template_alignment(settings.montage, conductivity=settings.conductivity, ch_names=names)
    generator = torch.Generator().manual_seed(seed)
    moved = torch.as_tensor(where.positions) + 1e-3 * settings.jitter_mm * torch.randn(
        where.positions.shape, generator=generator, dtype=torch.float64
    )
    generating = template_leadfield(
        {name: moved[i].numpy() for i, name in enumerate(where.ch_names)},
        space=DENSE,
        fixed=True,
        conductivity=settings.truth,
    )
    return referenced(inverting), referenced(generating.pick(inverting.ch_names))


def training_heads(
    settings: Sequence[HeadSettings] = TRAINING,
) -> list[tuple[Leadfield, Leadfield | None]]:
    """Build the heads that the packaged weights were trained on."""
    return [build(head, seed) for seed, head in enumerate(settings)]


def test_head() -> tuple[Leadfield, Leadfield]:
    """Build the head that solvers are tested on."""
    return build(TEST, seed=99)
