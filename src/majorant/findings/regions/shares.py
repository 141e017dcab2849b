"""A share that rises with one number: a logistic curve fitted to what trials showed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Share"]

Array = NDArray[np.float64]
STEPS = 50
PRIOR = 1e-2
"""Ridge on the slope, so that trials that are told apart perfectly have a finite one."""


@dataclass(frozen=True)
class Share:
    """The share at ``x`` is ``1 / (1 + exp(-(level + slope x)))``; the slope is not negative.

    Attributes
    ----------
    level, slope : float
    """

    level: float
    slope: float

    @classmethod
    def fitted(cls, x: Array, hit: Array) -> Share:
        """Fit the curve by Newton's method (penalised likelihood).

        Parameters
        ----------
        x : array, shape (n,)
        hit : array, shape (n,)
            0 or 1. One of each is added, as Laplace's rule has it, at the middle of ``x``.
        """
        middle = float(np.median(x)) if len(x) else 0.0
        x = np.concatenate([x, [middle, middle]])
        hit = np.concatenate([hit, [0.0, 1.0]])
        share = float(hit.mean())
        only_level = cls(float(np.log(share / (1.0 - share))), 0.0)
        if np.ptp(x) < 1e-9:
            return only_level
        design = np.stack([np.ones_like(x), x], axis=1)
        ridge = np.diag([1e-6, PRIOR])
        beta = np.array([only_level.level, 0.0])
        for _ in range(STEPS):
            p = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -30, 30)))
            slope = design.T @ (hit - p) - ridge @ beta
            curve = (design * (p * (1 - p))[:, None]).T @ design + ridge
            step = np.linalg.solve(curve, slope)
            # A long step overshoots where trials are nearly told apart.
            beta = beta + step / max(1.0, float(np.abs(step).max()))
            if np.abs(step).max() < 1e-9:
                break
        return cls(float(beta[0]), float(beta[1])) if beta[1] > 0 else only_level

    def __call__(self, x: Array) -> Array:
        """Return the share at ``x``."""
        return 1.0 / (1.0 + np.exp(-np.clip(self.level + self.slope * x, -30, 30)))
