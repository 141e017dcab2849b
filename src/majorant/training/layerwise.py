"""Growing the unfolded sparse Bayesian solver, layer by layer.

A run carries out the plan of ``training/growth.py``: append, train the new layer, train all. A
layer that does not lower the validation loss is taken away again and the network is finished. Under
stochastic deep supervision the loss is that of the last layer and 0.3 times that of one earlier
layer.

Every step is a function of its number: samples, head and the earlier layer follow from it; the loop
is that of :mod:`majorant.training.loop`.

Source: arXiv:2606.07196, training of the unfolded solver.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from majorant.learned.unfolded import Mode, UnfoldedSBL
from majorant.majorants.evidence import EvidenceSurrogate
from majorant.networks.corrections import Corrections
from majorant.networks.widening import sighted, unshared, widened
from majorant.problem import MajorantError, Problem
from majorant.simulate.everyday import EverydayBatch
from majorant.simulate.sparse import SparseBatch, SparseLike
from majorant.training.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint
from majorant.training.growth import (
    Ground,
    LayerwiseSettings,
    Stage,
    layer_loss,
    recomputes,
    stages,
)
from majorant.training.loop import LAST, Report, Rhythm, carry_out, write_line
from majorant.training.sessions import Sessions

Stream = SparseLike | Sessions
"""Where samples come from, by their numbers."""

PATIENCE = 10
"""Steps on end without a finite gradient after which a run gives up."""

WEIGHTS = "weights.safetensors"
OLD = "checkpoint.safetensors"
"""Checkpoint of version 0.1."""


@dataclass
class Progress:
    """Where a run stands.

    Attributes
    ----------
    stage, step : int
        Position in the plan.
    limit : int
        Layers that the network may have; lowered when a new one did not help.
    loss : float
        Validation loss of the layers that were kept.
    seconds : float
        Time spent so far.
    """

    stage: int = 0
    step: int = 0
    limit: int = 0
    loss: float = math.inf
    seconds: float = 0.0


class Layerwise:
    """A run: data, network, optimiser, and the folder they are kept in.

    Parameters
    ----------
    settings : LayerwiseSettings
    heads : sequence of SparseLike or Sessions
        Training data, one stream per head; taken in turns.
    folder : path
        For the checkpoint, the log and the weights. A run of the same settings goes on from its
        checkpoint.
    start : Corrections or None
        Trained ones to begin with, of any mode but those that mean something else: growth is
        skipped, and the last phase trains them on. Attention may begin with an "mlp" of the same
        sizes, which it contains, layers with weights of their own with one set for all, and
        networks that look at factors with some that do not (``networks/widening.py``).

    Raises
    ------
    MajorantError
        If there is no head, or the folder belongs to a run with other settings.
    """

    def __init__(
        self,
        settings: LayerwiseSettings,
        heads: Sequence[Stream],
        folder: str | os.PathLike[str],
        start: Corrections | None = None,
    ) -> None:
        if not heads:
            raise MajorantError("there is no head to train on; give at least one")
        self.settings, self.heads, self.folder = settings, list(heads), Path(folder)
        self.held_out = [head.held_out(settings.validation) for head in heads]
        widths = settings.widths_mm if settings.transport_weight else ()
        self.grounds = _grounds(self.heads, widths)
        self.plan = list(stages(settings))
        self.corrections = Corrections(settings.correction, settings.seed, grown=0)
        self.at = Progress(limit=settings.correction.layers)
        self.optimiser: torch.optim.Adam | None = None
        self.lost = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        refuse_older(self.folder)
        if (self.folder / LAST).exists():
            self._resume()
        elif start is not None:
            self._begin_with(start)

    def run(
        self,
        *,
        minutes: float | None = None,
        progress: Report | None = None,
    ) -> Corrections:
        """Train until the plan is carried out, or the time is over.

        Parameters
        ----------
        minutes : float or None
            Time for this call; the checkpoint lets another call go on.
        progress : callable or None
            Takes what happened after every step.
        """
        began = time.monotonic()
        deadline = None if minutes is None else began + 60.0 * minutes
        every = self.settings.save_every
        rhythm = Rhythm(log=every, validate=self.steps + 1, save=every, look=False)
        self._settle()
        carry_out(self, rhythm, deadline=deadline, report=progress)
        return self.corrections

    @property
    def steps(self) -> int:
        """Steps of the plan; a layer that does not help ends growth before it."""
        return sum(stage.steps for stage in self.plan)

    @property
    def step(self) -> int:
        """Steps taken, those of stages that were left out included."""
        return sum(stage.steps for stage in self.plan[: self.at.stage]) + self.at.step

    @property
    def finished(self) -> bool:
        """Whether the plan is carried out."""
        return self.at.stage >= len(self.plan)

    def update(self) -> Tensor:
        """Take a step, and go on to the next stage where it ends one; return the loss, (1,)."""
        began, stage = time.monotonic(), self.plan[self.at.stage]
        loss = self._step(self.step, min(stage.layers, self.at.limit), stage)
        self.at.step += 1
        self._settle()
        self.at.seconds += time.monotonic() - began
        return loss.detach()[None]

    def log(self, losses: Tensor, seconds: float) -> None:
        """Note the mean loss."""
        self._note("training", float(losses[0]))

    def validate(self) -> dict[str, Any]:
        """Nothing: layers are judged where a stage ends, see :meth:`judge`."""
        return {}

    def late(self, deadline: float, taken: float) -> bool:
        """Whether the time is up; a step is short."""
        return time.monotonic() > deadline

    def solver(self) -> UnfoldedSBL:
        """The network as a solver, in the mode it is trained in."""
        mode: Mode = "free" if self.settings.mode == "exact" else self.settings.mode
        return UnfoldedSBL(self.corrections, mode, basis=self.settings.basis)

    def judge(self, layers: int) -> float:
        """Loss of the last layer on the held-out samples."""
        solver, losses = self.solver(), []
        with torch.no_grad():
            for i, (head, batch) in enumerate(zip(self.heads, self.held_out, strict=True)):
                last = solver.unfold(_problem(head, batch), layers)[-1]
                losses.append(float(self._loss(last, batch, i)))
        return sum(losses) / len(losses)

    def _settle(self) -> None:
        """Leave stages that are over and those of layers there will not be; enter the next."""
        while not self.finished:
            stage = self.plan[self.at.stage]
            if stage.name == "last" or stage.layers <= self.at.limit:
                layers = min(stage.layers, self.at.limit)
                self._enter(layers, stage)
                if self.at.step < stage.steps:
                    return
                self._leave(layers, stage)
            self.at.stage, self.at.step, self.optimiser = self.at.stage + 1, 0, None

    def _enter(self, layers: int, stage: Stage) -> None:
        """Append the layer of a new stage; make an optimiser for what is trained."""
        if stage.name == "new" and len(self.corrections.stages) < min(
            layers, self.corrections.capacity
        ):
            self.corrections.append()
        if self.optimiser is None:
            self.optimiser = torch.optim.Adam(self._trained(stage), lr=stage.rate)

    def _trained(self, stage: Stage) -> list[torch.nn.Parameter]:
        stages_ = self.corrections.stages
        return list((stages_[-1] if stage.name == "new" else stages_).parameters())

    def _step(self, number: int, layers: int, stage: Stage) -> Tensor:
        """One step of Adam; what it sees depends on its number alone."""
        assert self.optimiser is not None
        s, which = self.settings, number % len(self.heads)
        head = self.heads[which]
        batch = head.batch(range(number * s.batch, (number + 1) * s.batch))
        passed = self.solver().unfold(
            _problem(head, batch),
            layers,
            frozen=min(stage.frozen, layers - 1),
            checkpointing=recomputes(s, head.leadfield.n_locations, layers),
        )
        loss = self._loss(passed[-1], batch, which)
        if s.deep and layers > 1 and stage.name != "new":
            drawn = torch.Generator().manual_seed(s.seed + number)
            earlier = 1 + int(torch.randint(layers - 1, (), generator=drawn))
            loss = loss + s.deep * self._loss(passed[earlier], batch, which)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self._trained(stage), s.clip)
        self.lost = 0 if bool(torch.isfinite(norm)) else self.lost + 1
        if self.lost >= PATIENCE:
            raise MajorantError(
                f"the gradients of {PATIENCE} steps on end are not finite (step {number}, "
                f"{layers} layers); lower the rate, or train in float64"
            )
        if self.lost == 0:
            self.optimiser.param_groups[0]["lr"] = stage.rate * self._decay(stage)
            self.optimiser.step()
        return loss

    def _loss(
        self, surrogate: EvidenceSurrogate, batch: SparseBatch | EverydayBatch, head: int
    ) -> Tensor:
        return layer_loss(surrogate, batch, self.settings, self.grounds[head])

    def _decay(self, stage: Stage) -> float:
        """Cosine decay to a fiftieth in the last phase, after a short warm-up."""
        if stage.name != "last":
            return 1.0
        done = self.at.step / stage.steps
        warm = min(1.0, (self.at.step + 1) / max(0.05 * stage.steps, 1.0))
        return warm * (0.51 + 0.49 * math.cos(math.pi * done))

    def _leave(self, layers: int, stage: Stage) -> None:
        """Keep the new layer if it helped; else take it away and stop growing."""
        ends = stage.name == "all" or (stage.name == "new" and layers == 1)
        if not ends or self.settings.correction.shared:
            return
        loss = self.judge(layers)
        self._note("validation", loss)
        if loss < (1.0 - self.settings.worthwhile) * self.at.loss:
            self.at.loss = loss
        else:
            self.corrections.stages = self.corrections.stages[: layers - 1]
            self.at.limit = layers - 1

    def _note(self, what: str, loss: float) -> None:
        stage = self.plan[min(self.at.stage, len(self.plan) - 1)]
        entry = {"step": self.step, "stage": stage.name, "layers": len(self.corrections.stages)}
        write_line(self.folder, {**entry, what: loss, "seconds": round(self.at.seconds, 1)})

    def save(self) -> None:
        """Write checkpoint and weights."""
        at = asdict(self.at)
        at["loss"] = None if math.isinf(self.at.loss) else self.at.loss
        info = {"settings": _plain(self.settings), "at": at, "step": self.step}
        optimiser = self.optimiser or torch.optim.Adam(self.corrections.parameters())
        save_checkpoint(self.folder / LAST, self.corrections, optimiser, {}, info)
        if len(self.corrections.stages):
            self.corrections.save(self.folder / WEIGHTS, self.card())

    def card(self) -> dict[str, Any]:
        """How the weights came to be, in plain numbers."""
        return {
            "mode": self.settings.mode,
            "training": _plain(self.settings),
            "heads": [
                {"sensors": h.leadfield.n_sensors, "sources": h.leadfield.n_locations}
                for h in self.heads
            ],
            "seconds": round(self.at.seconds),
            "stage": self.at.stage,
            "step": self.at.step,
            "finished": self.finished,
            "torch": torch.__version__,
        }

    def _begin_with(self, start: Corrections) -> None:
        wanted = self.settings.correction
        if (start.settings.kind, wanted.kind) == ("mlp", "attention"):
            start = widened(start, wanted.neighbours, self.settings.seed)
        if start.settings.shared and not wanted.shared:
            start = unshared(start)
        if wanted.more_clues and not start.settings.factors:
            start = sighted(start)
        if start.settings != self.settings.correction:
            raise MajorantError(
                f"the weights to start from are {start.settings} and the run is of "
                f"{self.settings.correction}; give the same kind, layers and sizes"
            )
        self.corrections = copy.deepcopy(start)
        self.at = replace(self.at, stage=len(self.plan) - 1, limit=start.depth)

    def _resume(self) -> None:
        tensors, info = read_checkpoint(self.folder / LAST)
        if info.get("settings") != _plain(self.settings):
            raise MajorantError(
                f"{self.folder} holds a run with other settings; give another folder, or the "
                "settings it was started with"
            )
        at = info["at"]
        self.at = Progress(**{**at, "loss": math.inf if at["loss"] is None else at["loss"]})
        names = [name.removeprefix("network.") for name in tensors if name.startswith("network.")]
        for _ in {name.split(".")[1] for name in names}:
            self.corrections.append()
        stage = self.plan[min(self.at.stage, len(self.plan) - 1)]
        optimiser = torch.optim.Adam(self._trained(stage) or [torch.zeros(())], lr=stage.rate)
        load_checkpoint(self.folder / LAST, self.corrections, optimiser, {})
        self.optimiser = optimiser if optimiser.state else None


def refuse_older(folder: Path) -> None:
    """Refuse the folder of a run of version 0.1.

    Raises
    ------
    MajorantError
        Which says how its weights are gone on from.
    """
    if (folder / OLD).exists():
        raise MajorantError(
            f"{folder} holds a run of version 0.1, which is not gone on with; begin another one "
            f"from its weights, with --initial {folder / WEIGHTS} and another --folder"
        )


def _problem(head: Stream, batch: SparseBatch | EverydayBatch) -> Problem:
    """What a solver may see of a batch of a stream's own."""
    if isinstance(head, Sessions):
        assert isinstance(batch, EverydayBatch)
        return head.problem(batch)
    assert isinstance(batch, SparseBatch)
    return head.problem(batch)


def held_seed(folder: str | os.PathLike[str]) -> int | None:
    """Seed of the run that a folder holds, None where there is none.

    Raises
    ------
    DamagedFile
        If its checkpoint is not whole.
    """
    path = Path(folder) / LAST
    if not path.exists():
        return None
    return int(read_checkpoint(path)[1]["settings"]["seed"])


def _grounds(heads: Sequence[Stream], widths: Sequence[float]) -> list[Ground]:
    """Ground of every head; heads on one source space share it."""
    made: list[Ground] = []
    for i, head in enumerate(heads):
        places = head.leadfield.positions
        twins = [j for j in range(i) if torch.equal(heads[j].leadfield.positions, places)]
        made.append(made[twins[0]] if twins else Ground.of(places, widths))
    return made


def _plain(settings: LayerwiseSettings) -> dict[str, Any]:
    """Settings as JSON holds them."""
    return json.loads(json.dumps(asdict(settings)))
