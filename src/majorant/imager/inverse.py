"""A fitted solver on whitened sensors: problems in, kernels or solutions out.

One place decides what a window of data becomes, so that averages, trials, streams and covariances
cannot be treated differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.head.model import SourceModel, as_tensor
from majorant.imager.tally import Tally
from majorant.linalg import spd_power
from majorant.problem import MajorantError, MatrixOperator, Operator, Problem, Solution
from majorant.recording.sensors import pick_rows
from majorant.registry import SolverSpec, able
from majorant.solvers.base import Kernel, KernelSolver, Solver
from majorant.solvers.choice import choose_snr
from majorant.solvers.loop import solve

__all__ = ["Call", "Inverse", "Job"]

Progress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class Job:
    """What stays the same over all windows of one call.

    Attributes
    ----------
    nave : int
        Trials behind the data.
    sfreq : float
        Hz.
    snr : float or None
        The ratio of amplitudes, chosen or given; None for solvers that do not use it.
    """

    nave: int
    sfreq: float
    snr: float | None


@dataclass(eq=False)
class Inverse:
    """A solver, its lead field and the whitening of one set of channels.

    Attributes
    ----------
    spec : SolverSpec
    options : mapping
        Of the solver's class.
    snr : float or str
        A ratio of amplitudes, or how to choose one: "gcv", "evidence".
    model : SourceModel
    whitener : array, shape (rank, n_channels)
        For single trials.
    ch_names : tuple of str
    data_moment : Tensor or None, shape (rank, rank)
        Second moment of the data for solvers that adapt to it, whitened as single trials; None
        takes that of the data at hand.
    """

    spec: SolverSpec
    options: Mapping[str, Any]
    snr: float | str
    model: SourceModel
    whitener: NDArray[np.float64]
    ch_names: tuple[str, ...]
    data_moment: Tensor | None = None
    _operators: dict[int, Operator] = field(default_factory=dict)
    _singles: dict[int, Operator] = field(default_factory=dict)
    _kernels: dict[tuple[int, float | None], Kernel] = field(default_factory=dict)
    _solvers: dict[float | None, Solver] = field(default_factory=dict)

    def white(self, data: NDArray[np.float64], nave: int) -> Tensor:
        """Whiten data (..., n_channels, n_times) of the channels in their order.

        The noise of an average of ``nave`` trials is ``C / nave``: here, once, and nowhere else.

        Raises
        ------
        MajorantError
            If the data hold NaN or infinite values.
        """
        if not np.isfinite(data).all():
            axes = tuple(k for k in range(data.ndim) if k != data.ndim - 2)
            bad = np.flatnonzero(~np.isfinite(data).all(axis=axes))
            names = ", ".join(self.ch_names[k] for k in bad[:8])
            raise MajorantError(
                f"the data hold NaN or infinite values in {names}; mend them, or mark these "
                "channels as bad and fit again"
            )
        return as_tensor(np.sqrt(nave) * self.whitener) @ as_tensor(data)

    def rows(self, ch_names: list[str]) -> list[int]:
        """Where the channels are in some data."""
        return pick_rows(ch_names, list(self.ch_names))

    def operator(self, nave: int) -> Operator:
        """The whitened lead field for averages of ``nave`` trials."""
        if nave not in self._operators:
            self._operators.clear()
            white = as_tensor(np.sqrt(nave) * self.whitener)
            lead = self.model.leadfield.transformed(white)
            geometry = replace(lead.geometry, axes=as_tensor(self.model.axes))
            self._operators[nave] = MatrixOperator(lead.gain, lead.n_orient, geometry)
        return self._operators[nave]

    def problem(self, y: Tensor, nave: int) -> Problem:
        """The problem that whitened data (n_batch, rank, n_times) pose."""
        return Problem(self.operator(nave), y, source_prior=self._prior)

    def posed(self, evoked: Any) -> Problem:
        """The whitened problem that an average poses, with its channels in any order."""
        nave = max(int(evoked.nave), 1)
        data = evoked.data[self.rows(list(evoked.ch_names))]
        return self.problem(self.white(data, nave)[None], nave)

    @property
    def needs_moment(self) -> bool:
        """Whether something is to be learned from all data before the first estimate."""
        return isinstance(self.snr, str) or (
            self.spec.abilities.adaptive and self.data_moment is None
        )

    def chosen_snr(self, moment: Tensor | None, nave: int) -> float | None:
        """The ratio as given, or chosen for data of this second moment."""
        if not self.spec.abilities.snr:
            return None
        if not isinstance(self.snr, str):
            return float(self.snr)
        assert moment is not None
        gain = self.operator(nave).matrix()
        assert gain is not None
        how: Any = self.snr
        return choose_snr(gain, as_tensor(self.model.prior), moment, how)

    def solver(self, snr: float | None) -> Solver:
        """The solver, told the ratio where it takes one."""
        if snr not in self._solvers:
            own = {} if snr is None else {"snr": snr}
            self._solvers[snr] = self.spec.make(**{**own, **self.options})
        return self._solvers[snr]

    def kernel(self, job: Job, moment: Tensor | None = None) -> Kernel | None:
        """The one kernel for all data of a job; None for solvers that have none.

        Parameters
        ----------
        job : Job
        moment : Tensor, shape (rank, rank), optional
            Of the data, for solvers that adapt to it.
        """
        solver = self.solver(job.snr)
        if not isinstance(solver, KernelSolver):
            return None
        if self.spec.abilities.adaptive:
            moment = moment if self.data_moment is None else job.nave * self.data_moment
            assert moment is not None
            return solver.kernel(self.problem(root(moment), job.nave))
        key = (job.nave, job.snr)
        if key not in self._kernels:
            self._kernels.clear()
            silence = torch.zeros(1, len(self.whitener), 1, dtype=torch.float64)
            self._kernels[key] = solver.kernel(self.problem(silence, job.nave))
        return self._kernels[key]

    def window(self, job: Job) -> float:
        """Length of the windows of continuous data, s."""
        own = self.solver(job.snr).abilities.window
        assert own is not None
        return own

    def solve(self, y: Tensor, job: Job, progress: Progress = None) -> Solution:
        """Solve windows of any length (n_batch, rank, n_times), each for itself."""
        solver = self.solver(job.snr).at(job.sfreq)
        return solve(self._posed(y, job), solver, progress=progress)

    def solve_windows(self, y: Tensor, job: Job) -> Solution:
        """Solve windows of the solver's own length, as a stream makes them."""
        solver = self.solver(job.snr).at(job.sfreq)
        return solve(self._posed(y, job), solver)

    def _posed(self, y: Tensor, job: Job) -> Problem:
        """The problem; in single precision where the solver says so."""
        if not self.solver(job.snr).abilities.single:
            return self.problem(y, job.nave)
        operator = self._single(job.nave)
        return Problem(operator, y.to(torch.float32), source_prior=self._single_prior)

    # What solvers prepare for an operator and a prior they find again by identity.
    @cached_property
    def _prior(self) -> Tensor:
        return as_tensor(self.model.prior)

    @cached_property
    def _single_prior(self) -> Tensor:
        return self._prior.to(torch.float32)

    def _single(self, nave: int) -> Operator:
        """The whitened lead field in single precision."""
        if nave not in self._singles:
            double = self.operator(nave)
            matrix = double.matrix()
            assert matrix is not None
            self._singles[nave] = MatrixOperator(
                matrix.to(torch.float32), double.n_orient, double.geometry
            )
        return self._singles[nave]

    def require(self) -> None:
        """Refuse sources that the solver was not trained on."""
        if isinstance(self.options.get("snr"), int | float):
            return
        if not self.spec.abilities.snr:
            self.solver(None).require(self.model.leadfield.operator())

    def refuse_covariance(self) -> None:
        """Refuse to image a covariance with a solver that needs to see the time courses."""
        if not self.spec.abilities.covariance:
            raise MajorantError(
                f"{self.spec.title} looks at time courses, and a covariance has none; image it "
                f"with one of {able(lambda s: s.covariance)}"
            )


@dataclass(frozen=True, eq=False)
class Call:
    """What a call of an imager works with, and where it leaves what is to be said of it.

    Attributes
    ----------
    inverse : Inverse
    info : mne.Info
        Channels in use.
    pick_ori : None, "normal", "vector" or "max-power"
        What is read off a location of several columns.
    keep : callable
        Takes the tally of the windows, the ratio of amplitudes, and what works the solution out.
    """

    inverse: Inverse
    info: Any
    pick_ori: str | None
    keep: Callable[[Tally, float | None, Callable[[], Solution] | None], None]

    @property
    def model(self) -> SourceModel:
        """Oriented lead field and prior."""
        return self.inverse.model


def root(moment: Tensor) -> Tensor:
    """Data (1, rank, rank) whose second moment is the one given."""
    return (len(moment) ** 0.5 * spd_power(moment, 0.5))[None]
