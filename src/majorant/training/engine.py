"""One step of training: a batch, the unrolled solver, its gradient, Adam, the moving average.

Nothing in a step waits for the device. Losses stay there until somebody reads them, a gradient that
is not finite is skipped by a mask, and branches are taken on numbers of the step alone. On the CPU,
where a look costs nothing, it is the same arithmetic with a branch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from majorant.learned.families import make_network
from majorant.learned.meta_curvature import MetaCurvatureSettings
from majorant.learned.modgrad import ModGradSettings
from majorant.learned.network import Geometry
from majorant.learned.timegrid import TimeGrid
from majorant.majorants.spectral import tap_sum_bound
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.simulate.dataset import SimulatedPairs
from majorant.training.bilevel import Iteration, Loss, bilevel_loss, iterate, unroll
from majorant.training.compiled import compiled_iteration
from majorant.training.presets import Recipe
from majorant.training.schedule import focused, rate_factor, unrolling
from majorant.training.team import Alone, Team

REIN = 10
"""Steps between two looks at the norms of the prior's layers."""


class Engine:
    """A network, its optimiser and its data, one step at a time.

    Parameters
    ----------
    recipe : Recipe
        For as many sources as the data have.
    train : SimulatedPairs
        Training data; the network is trained on their device.
    team : Team or None
        The processes of the run; None is one.
    compiled : bool
        Whether an iteration is compiled.
    fused : bool or None
        Adam in one kernel, and no look at the device between steps; None does so on accelerators.
    say : callable
        Takes what there is to tell: that the compiler failed.

    Attributes
    ----------
    network : UnrolledNetwork
    optimiser : torch.optim.Adam
    average : dict of str to Tensor
        Moving average of the parameters; empty without one.
    step : int
        Steps taken.

    Raises
    ------
    MajorantError
        If the network works on windows of one length, and the recipe changes theirs.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: SimulatedPairs,
        *,
        team: Team | None = None,
        compiled: bool = False,
        fused: bool | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        fixed = isinstance(recipe.network, MetaCurvatureSettings | ModGradSettings)
        if recipe.focus and (fixed or recipe.focus > train.n_times):
            raise MajorantError(
                f"windows of {recipe.focus} samples cannot be cut from {train.n_times} for "
                f"{recipe.method}; leave focus at 0"
            )
        self.recipe, self.train, self.team = recipe, train, team or Alone()
        self.device = train.device
        self.quiet = self.device.type != "cpu" if fused is None else fused
        self.network = make_network(recipe.network, torch.Generator().manual_seed(recipe.seed))
        self.network.to(self.device)
        self.down = self._grid(train.n_times)
        self.narrow = self._grid(recipe.focus) if recipe.focus else None
        self.optimiser = self._adam()
        self.average: dict[str, Tensor] = {}
        if recipe.average:
            self.average = {n: p.detach().clone() for n, p in self.network.named_parameters()}
        self.step, self._order = 0, (-1, torch.empty(0))
        self._heads: dict[SimulatedPairs, tuple[MatrixOperator, Geometry]] = {}
        self.iteration: Iteration = iterate
        if compiled:
            self.iteration = compiled_iteration(self._trial, say)

    def update(self) -> Tensor:
        """Take a step; return total loss, loss of the truth and of the prior, (3,), on the device.

        Raises
        ------
        MajorantError
            If the batch is too small for the processes, or too large for the device.
        """
        index, epoch = self._index()
        own = self.team.share(index)
        if len(own) == 0:
            raise MajorantError(
                f"a batch of {len(index)} samples cannot be shared by {self.team.size} processes; "
                "take a larger batch, or fewer processes"
            )
        loss = self._backward(own, epoch, self.team.weight(len(own), len(index)))
        self.team.average(p.grad for p in self.network.parameters() if p.grad is not None)
        self._descend()
        self._rein()
        self._follow()
        self.step += 1
        return torch.stack([loss.total, loss.truth, loss.prior]).detach()

    def _backward(
        self, own: Tensor, epoch: int, weight: float = 1.0, iteration: Iteration | None = None
    ) -> Loss:
        """Run forward and backward; the gradient is that of ``weight`` times the loss."""
        self.optimiser.zero_grad(set_to_none=True)
        try:
            loss = self.loss(own, epoch, iteration)
            (loss.total * weight).backward()
        except torch.OutOfMemoryError as error:
            raise MajorantError(
                f"a batch of {len(own)} samples does not fit into the memory of {self.device}; "
                "take --checkpointing, or share the batch with --devices"
            ) from error
        return loss

    def adopt(self, state: Mapping[str, Tensor]) -> None:
        """Start from other weights, the average included."""
        self.network.load_state_dict(dict(state))
        if self.average:
            self.average = {n: p.detach().clone() for n, p in self.network.named_parameters()}

    def loss(self, own: Tensor, epoch: int = 0, iteration: Iteration | None = None) -> Loss:
        """Return the outer loss of samples of the training data, with its graph.

        Parameters
        ----------
        own : Tensor, shape (n_batch,), int64
            Sample numbers.
        epoch : int
        iteration : callable or None
            What is unrolled; None takes the engine's own.
        """
        r, step = self.recipe, self.step
        problem, truth, geometry = self._pairs(own, epoch)
        noise = torch.Generator(self.device).manual_seed(1_000_003 * r.seed + step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=r.bfloat16):
            iterates = unroll(
                self.network,
                problem,
                geometry,
                unrolling(r, step),
                generator=noise,
                iteration=iteration or self.iteration,
            )
            return bilevel_loss(
                self.network, iterates, truth, version=r.version, deep=r.deep, support=r.support
            )

    def _pairs(self, own: Tensor, epoch: int) -> tuple[Problem, Tensor, Geometry]:
        """Problem and truth at the network's rate, and the geometry of their head."""
        data = self.train.turn(self.step)
        batch = data.batch(own, epoch)
        operator, geometry = self._head(data)
        if not focused(self.recipe, self.step):
            y = batch.y if self.down is None else batch.y @ self.down
            return Problem(operator, _columns(y)), batch.sources(self.down), geometry
        y, x = _around_peak(batch.y, batch.sources(), self.recipe.focus)
        if self.narrow is not None:
            y, x = y @ self.narrow, x @ self.narrow
        return Problem(operator, _columns(y)), _columns(x), geometry

    def _head(self, data: SimulatedPairs) -> tuple[MatrixOperator, Geometry]:
        """The operator of a data set and its geometry, made once."""
        if data not in self._heads:
            operator = data.operator()
            self._heads[data] = operator, self.network.geometry(operator, torch.float32)
        return self._heads[data]

    def _descend(self) -> None:
        """Clip the gradient and take Adam's step; none where the gradient is not finite."""
        r = self.recipe
        size = torch.nn.utils.clip_grad_norm_(self.network.parameters(), r.clip)
        scale = rate_factor(r, self.step)
        for group, rate in zip(self.optimiser.param_groups, (r.rate, r.prior_rate), strict=True):
            group["lr"] = rate * scale
        if self.quiet:
            # The mark by which torch's gradient scaler makes a fused step a step of nothing.
            skip = {"found_inf": (~torch.isfinite(size)).to(torch.float32), "grad_scale": None}
            vars(self.optimiser).update(skip)
            self.optimiser.step()
        elif bool(torch.isfinite(size)):
            self.optimiser.step()

    @torch.no_grad()
    def _rein(self) -> None:
        """Scale layers of the prior down to the norm they may have."""
        if not self.recipe.spectral or (self.step + 1) % REIN:
            return
        for weight in self.network.prior.weights:
            size = tap_sum_bound(weight).to(weight.dtype)
            weight.mul_((self.recipe.spectral / size).clamp(max=1.0))

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the parameters."""
        if not self.average:
            return
        decay = min(self.recipe.average, (1.0 + self.step) / (10.0 + self.step))
        follow = get_ema_multi_avg_fn(decay)
        follow(list(self.average.values()), list(self.network.parameters()), 0)

    def _index(self) -> tuple[Tensor, int]:
        """The samples of this step, and their epoch."""
        epoch, place = divmod(self.step, self.recipe.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self.train.permutation(epoch).cpu())
        size = self.recipe.batch
        return self._order[1][place * size : (place + 1) * size], epoch

    def _adam(self) -> torch.optim.Adam:
        """Adam over the curvature network and the prior, each with a rate of its own."""
        prior = list(self.network.prior.parameters())
        known = set(prior)
        rest = [p for p in self.network.parameters() if p not in known]
        groups: list[dict[str, Any]] = [{"params": rest}, {"params": prior}]
        return torch.optim.Adam(groups, lr=self.recipe.rate, fused=self.quiet or None)

    def _grid(self, n_times: int) -> Tensor | None:
        """The map to the network's rate of windows of ``n_times`` samples."""
        grid = TimeGrid.between(n_times, self.train.sfreq, self.recipe.network.rate)
        return None if grid is None else grid.down.float().to(self.device)

    def _trial(self, iteration: Iteration) -> None:
        """Forward and backward once, and nothing kept of it."""
        index, epoch = self._index()
        self._backward(self.team.share(index), epoch, iteration=iteration)
        self.optimiser.zero_grad(set_to_none=True)


def _around_peak(y: Tensor, x: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Cut ``n`` samples around the largest source of every sample out of data and sources."""
    peak = x.abs().amax(1).argmax(1)
    first = (peak - n // 2).clamp(0, x.shape[2] - n)
    at = first[:, None, None] + torch.arange(n, device=x.device)
    of_y, of_x = (at.expand(-1, v.shape[1], -1) for v in (y, x))
    return y.gather(2, of_y), x.gather(2, of_x)


def _columns(x: Tensor) -> Tensor:
    """The same array with its rows contiguous in memory, as matrix products want it."""
    return x.mT.contiguous().mT
