"""Everyday data as the unfolded solver is trained on it: one session of one head a step.

Layer-by-layer training (``training/layerwise.py``) asks streams for samples by their number; here
sample ``k batch + i`` is sample ``i`` of session ``k``, so every step has another cap, head, noise
and number of times.
"""

from __future__ import annotations

from dataclasses import dataclass

from majorant.forward.leadfield import Leadfield
from majorant.problem import Problem
from majorant.simulate.everyday import Everyday, EverydayBatch, EverydaySettings, World

SEEDS = 1500
"""Seeds that patches are tabulated for, spread over the cortex."""

N_TIMES = (1, 2, 5, 10, 20, 50, 100)
"""Samples of a window; a session has one of them."""


@dataclass(frozen=True, eq=False)
class Sessions:
    """A stream of sessions.

    Attributes
    ----------
    data : Everyday
    batch_size : int
        Samples of a session.
    """

    data: Everyday
    batch_size: int

    @property
    def leadfield(self) -> Leadfield:
        """One of the believed lead fields; their locations are the same."""
        return self.data.world.heads[0].believed

    def batch(self, index: range) -> EverydayBatch:
        """Samples by their numbers, all of one session."""
        return self.data.session(index[0] // self.batch_size).batch(range(len(index)))

    def problem(self, batch: EverydayBatch) -> Problem:
        """What a solver may see."""
        return batch.problem()

    def held_out(self, count: int) -> EverydayBatch:
        """Samples of a session that training never asks for."""
        return self.data.session(2**30).batch(range(count))


def everyday_sessions(world: World, seed: int, batch_size: int) -> Sessions:
    """Make the stream of a world.

    Parameters
    ----------
    world : World
        Its heads, as :func:`majorant.head.simulated.everyday_world` draws them.
    seed : int
    batch_size : int
    """
    data = Everyday(world, seed, settings=EverydaySettings(n_times=N_TIMES), seeds=SEEDS)
    return Sessions(data, batch_size)
