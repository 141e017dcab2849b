"""How far an estimate is from the patch that made the data.

Three numbers of the map at the time at which the patch is strongest:

- localisation error: distance of the strongest location from the centre of the patch, mm;
- missed area: share of the patch (the cortex above half its maximum) that lies in locations whose
  estimate is below half of its own maximum;
- false area: cortex in locations above half the maximum that hold nothing of the patch, cm².

A map of zeros finds nothing: its error is the mean distance over the cortex, as of a blind guess,
all of the patch is missed, and nothing is false.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.audit.heads import AuditHead
from majorant.audit.patches import Patches

__all__ = ["METRICS", "Metric", "judge"]

HALF = 0.5


@dataclass(frozen=True)
class Metric:
    """One of the numbers.

    Attributes
    ----------
    key : str
        Name in files.
    title : str
        Name on the page.
    unit : str
    summary : str
        What it is, in a few words.
    """

    key: str
    title: str
    unit: str
    summary: str


METRICS = (
    Metric("error", "Localisation error", "mm", "from the strongest region to the patch’s centre"),
    Metric("missed", "Missed area", "%", "of the patch, below half the estimate’s maximum"),
    Metric("false", "False area", "cm²", "above half the estimate’s maximum, outside the patch"),
)


def judge(
    head: AuditHead, patches: Patches, index: NDArray[np.int64], maps: Tensor
) -> NDArray[np.float64]:
    """Judge estimates.

    Parameters
    ----------
    head : AuditHead
    patches : Patches
    index : array of int, shape (n_batch,)
        Patches that made the data.
    maps : Tensor, shape (n_batch, n_locations)
        Estimates at the time at which the patch is strongest.

    Returns
    -------
    array, shape (n_batch, 3)
        In the order and units of :data:`METRICS`.
    """
    size = maps.abs().double()
    largest = size.amax(dim=1)
    centre = torch.from_numpy(head.vertices[patches.vertex[index]])
    distance = 1e3 * torch.cdist(centre, head.believed.positions)
    best = size.argmax(dim=1)
    error = distance.gather(1, best[:, None])[:, 0]
    found = (size >= HALF * largest[:, None]).numpy()
    missed = 100.0 * (patches.share[index] * ~found).sum(axis=1)
    false = (found & ~patches.core[index]) @ head.location_area
    blind = (largest <= 0).numpy()
    return np.column_stack(
        [
            np.where(blind, distance.mean(dim=1).numpy(), error.numpy()),
            np.where(blind, 100.0, missed),
            np.where(blind, 0.0, false),
        ]
    )
