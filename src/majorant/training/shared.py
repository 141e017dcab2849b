"""Training MM-Net with weights shared over sources.

The solver's own steps are unrolled and differentiated through. What is asked of them is that the
iterates come near the truth, the last one most. The prior is trained beside them, on the iterates
as they are: that it maps them to the truth, and that the energy falls from one decision of the
guard to the next, so that good steps are not refused at use.

Samples are pools that are made once (:mod:`majorant.training.pools`); which of them a step sees is
a function of the step, so a run that is stopped and continued gives the
same weights. The loop is that of :mod:`majorant.training.loop`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from majorant.files.archive import read_archive, write_archive
from majorant.forward.leadfield import Leadfield
from majorant.learned.shared.network import Given, SharedNetwork, SharedSettings, unit
from majorant.learned.shared.solver import WINDOW
from majorant.learned.shared.stored import read_shared, write_shared
from majorant.problem import MajorantError
from majorant.simulate.dataset import Part
from majorant.training.bilevel import distance
from majorant.training.checkpoint import load_checkpoint, save_checkpoint
from majorant.training.loop import LAST, Report, Rhythm, carry_out, write_line
from majorant.training.pools import Maker, Pool, pools

REGIONS = 1000
"""On larger source spaces a batch has fewer samples."""

JUDGED = 24
"""Samples of a head in a validation, at most."""

HELD = "pool of samples"
BEST, POOL = "best.safetensors", "pool.safetensors"
MARGIN = 0.03
"""By how much the energy is to fall in a window of the guard."""


@dataclass(frozen=True)
class SharedRecipe:
    """Everything a run depends on.

    Attributes
    ----------
    network : SharedSettings
    steps, batch : int
    rate : float
        Of Adam, at the top of its cosine.
    seed : int
    validate_every : int
    """

    network: SharedSettings = field(default_factory=SharedSettings)
    steps: int = 600
    batch: int = 8
    rate: float = 3e-3
    seed: int = 0
    validate_every: int = 100


@dataclass(frozen=True)
class SharedLoss:
    """The loss of a batch.

    Attributes
    ----------
    total : Tensor, shape ()
    off : Tensor, shape (n_batch,)
        ``1 - cos(truth, last iterate)``.
    energies : Tensor, shape (1 + n_windows, n_batch)
        At the decisions of the guard.
    """

    total: Tensor
    off: Tensor
    energies: Tensor


def shared_loss(network: SharedNetwork, given: Given, truth: Tensor) -> SharedLoss:
    """Unroll the network and judge its iterates.

    Parameters
    ----------
    network : SharedNetwork
    given : Given
    truth : Tensor, shape (n_batch, n_sources, k)
    """
    x, weight = given.start, network.settings.weight
    memory, points = network.begin(x), [x]
    for k in range(network.settings.iterations):
        x, memory = network.step(given, x, memory, k)
        points.append(x)
    off = [distance(truth, x) for x in points[1:]]
    border = distance(_compressed(unit(truth)), _compressed(x)).mean()
    earlier = torch.stack(off[:-1] or off).mean()
    steps = off[-1].mean() + 0.3 * earlier + 0.3 * border
    decided = [x.detach() for x in points[::WINDOW]]
    prior, gain, y = network.on(given.sight), given.sight.gain, given.y
    images = [prior(x) for x in decided]
    pairs = zip(decided, images, strict=True)
    energies = torch.stack([distance(gain @ x, y) + weight * distance(x, p) for x, p in pairs])
    near = 0.3 * torch.stack([distance(truth, made) for made in images]).mean()
    rises = torch.relu(energies[1:] - energies[:-1] + MARGIN).mean()
    return SharedLoss(steps + near + rises, off[-1].detach(), energies.detach())


def train_shared(
    recipe: SharedRecipe,
    folder: Path,
    makers: Mapping[str, Maker] | None = None,
    *,
    initial: Path | None = None,
    resume: bool = False,
    minutes: float | None = None,
    say: Callable[[str], None] = print,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train, or go on with a training; the best validation is kept as a set of weights.

    Parameters
    ----------
    recipe : SharedRecipe
    folder : Path
        Run folder; pools are kept there.
    makers : mapping of str to callable, optional
        What makes the pools that the folder has not yet. Names begin with ``train`` or with
        ``validation``; a step takes any pool for training with the same probability.
    initial : Path or None
        Weights to start from.
    resume : bool
        Go on with the run of the folder.
    minutes : float or None
        Stop after this.
    say : callable
        Takes what came of each validation, as a line.
    report : callable, optional
        Takes what happened after every step.

    Returns
    -------
    dict
        ``step`` and the ``metrics`` of the best validation.

    Raises
    ------
    MajorantError
        If the folder holds a run that is not resumed, or there are no pools.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / LAST).exists() and not resume:
        raise MajorantError(
            f"{folder} holds a run already; continue it with --resume, or give another folder"
        )
    for name, make in (makers or {}).items():
        if not (folder / f"{name}-{POOL}").exists():
            held, space = make()
            space.save(folder / f"{name}-space.safetensors")
            write_archive(folder / f"{name}-{POOL}", held, {}, kind=HELD, version=1)
    run = SharedRun(recipe, folder, initial, say)
    every = recipe.validate_every
    deadline = None if minutes is None else time.monotonic() + 60.0 * minutes
    rhythm = Rhythm(every, every, every, look=False)
    carry_out(run, rhythm, deadline=deadline, report=report)
    return {"step": run.step, "metrics": run.best}


class SharedRun:
    """A training run: network, optimiser, moving average and pools.

    Parameters
    ----------
    recipe : SharedRecipe
    folder : Path
        Which holds the pools, and the checkpoint of a run to go on with.
    initial : Path or None
        Weights to start from.
    say : callable
        Takes lines of progress.

    Raises
    ------
    MajorantError
        If there are no pools.
    """

    def __init__(
        self, recipe: SharedRecipe, folder: Path, initial: Path | None, say: Callable[[str], None]
    ) -> None:
        self.recipe, self.folder, self.say = recipe, folder, say
        self.train, self.valid = self._pools("train"), self._pools("validation")
        self.network = SharedNetwork(recipe.network, torch.Generator().manual_seed(recipe.seed))
        if initial is not None:
            self.network.load_state_dict(read_shared(initial)[0].state_dict())
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=recipe.rate, betas=(0.9, 0.99)
        )
        self.average = {n: p.detach().clone() for n, p in self.network.named_parameters()}
        self.step, self.best, self.seconds, self.loss = 0, {}, 0.0, 0.0
        if (folder / LAST).exists():
            info = load_checkpoint(folder / LAST, self.network, self.optimiser, self.average)
            self.step, self.best = int(info["step"]), dict(info["best"])
            self.seconds = float(info["seconds"])

    def _pools(self, part: Part) -> list[list[Pool]]:
        found = []
        for path in sorted(self.folder.glob(f"{part}*-{POOL}")):
            held, _ = read_archive(path, kind=HELD, version=1)
            space = path.with_name(path.name.replace(POOL, "space.safetensors"))
            found.append(pools(dict(held), Leadfield.load(space)))
        if not found:
            raise MajorantError(
                f"{self.folder} has no samples for {part}, and there is nothing to make them with; "
                "train with `majorant train`"
            )
        return found

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.recipe.steps

    def late(self, deadline: float, taken: float) -> bool:
        """Whether the time is up; the pause for a validation is short."""
        return time.monotonic() > deadline

    def log(self, losses: Tensor, seconds: float) -> None:
        """Keep the mean loss for the line of the next validation."""
        self.loss = float(losses[0])

    def update(self) -> Tensor:
        """Take a step; return its loss, shape (1,)."""
        r, began = self.recipe, time.process_time()
        generator = torch.Generator().manual_seed(1_000_003 * r.seed + self.step)

        def drawn(n: int, size: int = 1) -> Tensor:
            return torch.randint(n, (size,), generator=generator)

        space = self.train[int(drawn(len(self.train)))]
        pool = space[int(drawn(len(space)))]
        size = max(2, r.batch * REGIONS // max(REGIONS, pool.spaces.shape[2]))
        given, truth = pool.given(drawn(len(pool.y), size))
        turn = 0.5 * (1.0 + math.cos(math.pi * self.step / r.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = r.rate * min(1.0, (self.step + 1) / 30) * (turn + 0.01)
        self.step += 1
        loss = shared_loss(self.network, given, truth)
        self.optimiser.zero_grad()
        loss.total.backward()
        steep = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if bool(torch.isfinite(steep)):
            self.optimiser.step()
        keep = min(0.99, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name, p in self.network.named_parameters():
                self.average[name].lerp_(p, 1.0 - keep)
        self.seconds += time.process_time() - began
        return loss.total.detach()[None]

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Judge the average on another head, and keep it if it is the best."""
        averaged = SharedNetwork(self.recipe.network)
        averaged.load_state_dict(self.average)
        losses, starts = [], []
        for space in self.valid:
            for pool in space:
                loss, start = _validated(averaged, pool)
                losses.append(loss)
                starts.append(start)
        rises = [(a.energies[1:] > a.energies[:-1]).double().mean() for a in losses]
        found = {
            "step": self.step,
            "off": _mean([loss.off.mean() for loss in losses]),
            "each": [round(float(loss.off.mean()), 3) for loss in losses],
            "start": _mean(starts),
            "windows that rise": _mean(rises),
            "cpu minutes": round(self.seconds / 60.0, 2),
        }
        write_line(self.folder, {**found, "loss": self.loss})
        self.say(json.dumps(found))
        if found["off"] < self.best.get("off", math.inf):
            self.best = found
            recipe = dataclasses.asdict(self.recipe)
            write_shared(self.folder / BEST, averaged, recipe=recipe, metrics=found)
        return found

    def save(self) -> None:
        """Write a checkpoint."""
        info = {"step": self.step, "best": self.best, "seconds": self.seconds}
        save_checkpoint(self.folder / LAST, self.network, self.optimiser, self.average, info)


def _validated(network: SharedNetwork, pool: Pool) -> tuple[SharedLoss, Tensor]:
    """The loss of the first samples of a pool, and how far off their start is."""
    given, truth = pool.given(torch.arange(min(JUDGED, len(pool.y))))
    return shared_loss(network, given, truth), distance(truth, given.start).mean()


def _mean(values: Sequence[Tensor]) -> float:
    return float(torch.stack([v.double() for v in values]).mean())


def _compressed(x: Tensor) -> Tensor:
    """Rows of the square root of their length, smooth at zero: weak borders count."""
    return x * torch.rsqrt(torch.linalg.vector_norm(x, dim=-1, keepdim=True) + 0.05)
