"""From chunks of sensor data to time courses of regions, chunk by chunk.

A solver with a kernel treats every sample for itself: kernel, whitening and the mean over regions
are one small matrix. A network sees a window that ends with the newest sample, and of its estimate
the part is kept that is new; whoever feeds it hands over all that has come in the meantime, so a
slow machine takes longer steps and no queue can grow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from majorant.imager.imager import SourceImager
from majorant.imager.inverse import Inverse, Job
from majorant.imager.tally import Tally
from majorant.live.regions import LiveRegions
from majorant.problem import Certificate, MajorantError, MatrixOperator, Problem, Solution
from majorant.registry import SolverSpec, able
from majorant.solvers.base import IterativeSolver
from majorant.solvers.loop import solve

__all__ = [
    "KernelEngine",
    "LiveEngine",
    "WindowEngine",
    "check_follows",
    "engine_for",
    "one_thread",
]


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: windows are so small that threads wait for each other most.

    On a machine with other work to do a thread that waits for another can wait for milliseconds,
    at each of hundreds of products a window.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class LiveEngine(ABC):
    """Turns data into time courses; what it remembers can be forgotten."""

    regions: LiveRegions
    unit: str

    @abstractmethod
    def push(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take a chunk (n_channels, n) in V; return (n_regions, m) of its last m samples."""

    @abstractmethod
    def reset(self) -> None:
        """Forget earlier samples, for the next ones do not follow them."""

    @abstractmethod
    def retune(self, sfreq: float) -> None:
        """Go on with another sampling rate, Hz."""

    @abstractmethod
    def certificate(self) -> Certificate | None:
        """What was promised and kept so far, where there is something to keep."""


class KernelEngine(LiveEngine):
    """A linear solver.

    Parameters
    ----------
    imager : SourceImager
        Fitted; its signal-to-noise ratio is a number.
    regions : LiveRegions
    """

    def __init__(self, imager: SourceImager, regions: LiveRegions) -> None:
        inverse = imager.inverse
        _refuse_words(inverse)
        kernel = inverse.kernel(Job(1, 1.0, inverse.chosen_snr(None, 1)))
        assert kernel is not None
        self.regions, self.unit = regions, kernel.unit
        n_orient = imager.leadfield_.n_orient
        matrix = kernel.matrix[0] if kernel.matrix.ndim == 3 else kernel.matrix
        whole = matrix.numpy().astype(np.float64) @ inverse.whitener
        self._signed = n_orient == 1
        if self._signed:
            self._matrix = regions.mean(len(whole)) @ whole
            return
        own = regions.locations
        blocks = whole.reshape(-1, n_orient, whole.shape[1])[own]
        self._matrix = np.ascontiguousarray(blocks.reshape(-1, whole.shape[1]))
        self._n_orient = n_orient
        # The mean over a region of squared lengths is linear in the squares.
        self._mean = np.abs(regions.mean(imager.leadfield_.n_locations))[:, own]

    def push(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Every sample for itself."""
        found = self._matrix @ data
        if self._signed:
            return found
        squares = (found**2).reshape(-1, self._n_orient, data.shape[1]).sum(1)
        return np.sqrt(self._mean @ squares)

    def reset(self) -> None:
        """Nothing is remembered."""

    def retune(self, sfreq: float) -> None:
        """No sample knows of another, so the rate does not matter."""

    def certificate(self) -> Certificate | None:
        """A closed form: there is nothing to keep sample by sample."""
        return None


class WindowEngine(LiveEngine):
    """A windowed solver on a window that slides, in as many steps as it says or is told.

    Parameters
    ----------
    imager : SourceImager
        Fitted, of a solver that says how many steps it takes in a live window.
    regions : LiveRegions
    sfreq : float
        Hz.
    """

    def __init__(self, imager: SourceImager, regions: LiveRegions, sfreq: float) -> None:
        inverse = imager.inverse
        solver = inverse.solver(None)
        assert isinstance(solver, IterativeSolver)
        live = solver.abilities.live
        assert live is not None
        self.regions, self.unit = regions, "Am"
        asked = "max_iter" in inverse.options
        self._own = solver
        self._steps = solver.max_iter if asked else min(live, solver.max_iter)
        self._whitener = torch.as_tensor(inverse.whitener, dtype=torch.float32)
        # Single precision: the network was trained in it, and a window is solved in half the time.
        whole = inverse.operator(1)
        matrix = whole.matrix()
        assert matrix is not None
        self._operator = MatrixOperator(matrix.to(torch.float32), whole.n_orient, whole.geometry)
        mean = regions.mean(imager.leadfield_.n_locations)
        self._n_orient = imager.leadfield_.n_orient
        self._mean = torch.as_tensor(mean, dtype=torch.float32)
        self._tally = Tally()
        self.retune(sfreq)

    def retune(self, sfreq: float) -> None:
        """Take as many samples as the solver's window has at this rate."""
        self._solver = self._own.at(sfreq)
        can = self._solver.abilities
        window = can.live_window or can.window
        assert window is not None
        self.length = max(2, round(window * sfreq))
        self.reset()
        # The first window costs ten times the others: nobody should wait for it live.
        noise = torch.randn(
            1, len(self._whitener), self.length, generator=torch.Generator().manual_seed(0)
        )
        self._solve(noise)

    def reset(self) -> None:
        """Empty the window."""
        self._held = torch.zeros(len(self._whitener), 0)

    def push(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solve the window that ends here, once there is a whole one."""
        # Whitened before it is rounded: microvolts and their offsets differ by orders.
        new = self._whitener @ torch.as_tensor(1e6 * data, dtype=torch.float32) * 1e-6
        self._held = torch.cat([self._held, new], dim=1)[:, -self.length :]
        if self._held.shape[1] < self.length:
            return np.zeros((len(self.regions.names), 0))
        solution = self._solve(self._held[None])
        self._tally.add_solution(solution)
        fresh = min(data.shape[1], self.length)
        found = solution.estimate[0, :, -fresh:].to(torch.float32)
        if self._n_orient == 1:
            return (self._mean @ found).numpy().astype(np.float64)
        squares = found.square().unflatten(0, (-1, self._n_orient)).sum(1)
        return (self._mean.abs() @ squares).sqrt().numpy().astype(np.float64)

    def _solve(self, y: torch.Tensor) -> Solution:
        return solve(Problem(self._operator, y), self._solver, max_iter=self._steps, recheck=False)

    def certificate(self) -> Certificate | None:
        """Of all windows so far."""
        return self._tally.certificate()


def engine_for(imager: SourceImager, regions: LiveRegions, sfreq: float) -> LiveEngine:
    """Make the engine of a fitted imager.

    Raises
    ------
    MajorantError
        If the solver cannot keep up with a stream; the sentence names those that can.
    """
    inverse = imager.inverse
    can = inverse.spec.abilities
    if can.linear or (can.adaptive and inverse.data_moment is not None):
        return KernelEngine(imager, regions)
    if can.live is not None:
        return WindowEngine(imager, regions, sfreq)
    raise _does_not_follow(inverse.spec)


def check_follows(own: SolverSpec) -> None:
    """Refuse a solver that cannot keep up with a stream, before there is one.

    Raises
    ------
    MajorantError
        If it is neither linear nor quick in a window; the sentence names those that are.
    """
    if not (own.abilities.linear or own.abilities.live):
        raise _does_not_follow(own)


def _does_not_follow(own: SolverSpec) -> MajorantError:
    return MajorantError(
        f"{own.title} does not follow a stream; take one of "
        f"{able(lambda s: s.linear or s.live)}"
        + (", or fit it with data_cov first" if own.abilities.adaptive else "")
    )


def _refuse_words(inverse: Inverse) -> None:
    if isinstance(inverse.snr, str):
        raise MajorantError(
            f"snr={inverse.snr!r} chooses from all data, and a stream has not come yet; give a "
            "number"
        )
