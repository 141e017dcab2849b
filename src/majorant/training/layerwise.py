"""Growing the unfolded sparse Bayesian solver, layer by layer.

A run carries out the plan of ``training/growth.py``: append, train the new layer, train all. A
layer that does not lower the validation loss is taken away again and the network is finished. Under
stochastic deep supervision the loss is that of the last layer and 0.3 times that of one earlier
layer.

Every step is a function of its number: samples, head and the earlier layer follow from it, and a
checkpoint holds weights and moments, so a run that was interrupted goes on as if it had not been.

Source: arXiv:2606.07196, training of the unfolded solver.
"""

from __future__ import annotations

import copy
import csv
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from majorant.files.archive import read_archive, write_archive
from majorant.learned.unfolded import Mode, UnfoldedSBL
from majorant.majorants.evidence import EvidenceSurrogate
from majorant.networks.corrections import Corrections
from majorant.networks.widening import sighted, unshared, widened
from majorant.problem import MajorantError, Problem
from majorant.simulate.everyday import EverydayBatch
from majorant.simulate.sparse import SparseBatch, SparseLike
from majorant.training.growth import (
    Ground,
    LayerwiseSettings,
    Stage,
    layer_loss,
    recomputes,
    stages,
)
from majorant.training.sessions import Sessions

Stream = SparseLike | Sessions
"""Where samples come from, by their numbers."""

PATIENCE = 10
"""Steps on end without a finite gradient after which a run gives up."""

KIND, VERSION = "layerwise run", 1
STATE, WEIGHTS, LOG = "checkpoint.safetensors", "weights.safetensors", "log.csv"


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
        if (self.folder / STATE).exists():
            self._resume()
        elif start is not None:
            self._begin_with(start)

    def run(
        self,
        *,
        minutes: float | None = None,
        progress: Callable[[str, int, int, float], None] | None = None,
    ) -> Corrections:
        """Train until the plan is carried out, or the time is over.

        Parameters
        ----------
        minutes : float or None
            Time for this call; the checkpoint lets another call go on.
        progress : callable or None
            Called with the stage, steps done, steps in all, and the loss.
        """
        began, total = time.monotonic(), sum(stage.steps for stage in self.plan)
        first = sum(stage.steps for stage in self.plan[: self.at.stage])
        spent = self.at.seconds
        while self.at.stage < len(self.plan):
            stage = self.plan[self.at.stage]
            if stage.name == "last" or stage.layers <= self.at.limit:
                layers = min(stage.layers, self.at.limit)
                self._enter(layers, stage)
                while self.at.step < stage.steps:
                    loss = self._step(first + self.at.step, layers, stage)
                    self.at.step += 1
                    self.at.seconds = spent + time.monotonic() - began
                    if progress is not None:
                        progress(stage.name, first + self.at.step, total, loss)
                    over = minutes is not None and time.monotonic() - began > 60.0 * minutes
                    if over or self.at.step % self.settings.save_every == 0:
                        self._log(stage, layers, loss)
                        self._save()
                    if over:
                        return self.corrections
                self._leave(layers, stage)
            first += stage.steps
            self.at.stage, self.at.step, self.optimiser = self.at.stage + 1, 0, None
            self._save()
        return self.corrections

    def solver(self) -> UnfoldedSBL:
        """The network as a solver, in the mode it is trained in."""
        mode: Mode = "free" if self.settings.mode == "exact" else self.settings.mode
        return UnfoldedSBL(self.corrections, mode, basis=self.settings.basis)

    def validate(self, layers: int) -> float:
        """Loss of the last layer on the held-out samples."""
        solver, losses = self.solver(), []
        with torch.no_grad():
            for i, (head, batch) in enumerate(zip(self.heads, self.held_out, strict=True)):
                last = solver.unfold(_problem(head, batch), layers)[-1]
                losses.append(float(self._loss(last, batch, i)))
        return sum(losses) / len(losses)

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

    def _step(self, number: int, layers: int, stage: Stage) -> float:
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
        return float(loss.detach())

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
        loss = self.validate(layers)
        self._log(stage, layers, loss, "validation")
        if loss < (1.0 - self.settings.worthwhile) * self.at.loss:
            self.at.loss = loss
        else:
            self.corrections.stages = self.corrections.stages[: layers - 1]
            self.at.limit = layers - 1

    def _log(self, stage: Stage, layers: int, loss: float, what: str = "training") -> None:
        path = self.folder / LOG
        fresh = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["seconds", "stage", "layers", "step", "what", "loss"])
            row = [stage.name, layers, self.at.step, what, f"{loss:.6f}"]
            writer.writerow([f"{self.at.seconds:.1f}", *row])

    def _save(self) -> None:
        """Write checkpoint and weights."""
        tensors = dict(self.corrections.state_dict())
        if self.optimiser is not None:
            for i, held in self.optimiser.state_dict()["state"].items():
                tensors |= {f"adam.{i}.{name}": value for name, value in held.items()}
        info = {"settings": _plain(self.settings), "at": asdict(self.at)}
        if math.isinf(self.at.loss):
            info["at"]["loss"] = None
        write_archive(self.folder / STATE, tensors, info, kind=KIND, version=VERSION)
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
            "finished": self.at.stage >= len(self.plan),
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
        tensors, info = read_archive(self.folder / STATE, kind=KIND, version=VERSION)
        if info["settings"] != _plain(self.settings):
            raise MajorantError(
                f"{self.folder} holds a run with other settings; give another folder, or the "
                "settings it was started with"
            )
        at = info["at"]
        self.at = Progress(**{**at, "loss": math.inf if at["loss"] is None else at["loss"]})
        weights = {k: v for k, v in tensors.items() if not k.startswith("adam.")}
        for _ in {name.split(".")[1] for name in weights}:
            self.corrections.append()
        self.corrections.load_state_dict(weights)
        moments = {k: v for k, v in tensors.items() if k.startswith("adam.")}
        if moments:
            stage = self.plan[self.at.stage]
            self.optimiser = torch.optim.Adam(self._trained(stage), lr=stage.rate)
            held = self.optimiser.state_dict()
            for name, value in moments.items():
                _, number, what = name.split(".")
                held["state"].setdefault(int(number), {})[what] = value
            self.optimiser.load_state_dict(held)


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
    path = Path(folder) / STATE
    if not path.exists():
        return None
    return int(read_archive(path, kind=KIND, version=VERSION)[1]["settings"]["seed"])


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
