"""The training loop: a run folder, exact resume, validation, progress.

A run folder holds ``config.json`` (the recipe, frozen once set), ``log.jsonl``, ``curves.png``,
``last.safetensors`` (a checkpoint to continue from) and ``best.safetensors`` (weights and card,
what the solver loads). Whatever a step depends on is a function of the step number: samples,
their order, starts from noise and the learning rate. So a run that is killed and continued gives
the same weights bit for bit on one machine.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.learned.families import as_solver, make_network
from majorant.learned.mmnet import MMNet
from majorant.learned.stored import read_weights, versions, write_weights
from majorant.learned.timegrid import TimeGrid
from majorant.metrics.localisation import Localisation, Scores
from majorant.networks.card import source_fingerprint
from majorant.problem import MajorantError, Problem
from majorant.simulate.dataset import Part, SereegaLike, SimulatedPairs
from majorant.simulate.general import General
from majorant.simulate.heads import draw_heads
from majorant.simulate.neural_mass_data import NeuralMassLike, NeuralMassSettings
from majorant.solvers.loop import solve
from majorant.training.bilevel import Loss, bilevel_loss, unroll
from majorant.training.checkpoint import load_checkpoint, save_checkpoint
from majorant.training.presets import Recipe
from majorant.training.team import Alone, Team

Report = Callable[[dict[str, Any]], None]
"""Called after every step with ``step``, ``steps``, ``loss`` and, when validated, metrics."""

CONFIG, LOG, LAST, BEST = "config.json", "log.jsonl", "last.safetensors", "best.safetensors"
LIMIT_VALIDATION = 100
"""Samples solved at once in validation."""
HEADS: Mapping[Part, tuple[int, int]] = {"train": (64, 0), "validation": (1, 1), "test": (1, 2)}
"""Heads of general data in each part, and the seed they are drawn from."""


@dataclass(frozen=True)
class Outcome:
    """What a training run came to.

    Attributes
    ----------
    folder : Path
    step : int
        Steps done.
    metrics : dict
        Of the best validation.
    """

    folder: Path
    step: int
    metrics: dict[str, Any]


class Trainer:
    """One training run.

    Parameters
    ----------
    recipe : Recipe
    leadfield : Leadfield
        Fixed orientation, with neighbours; the packaged template by default in the command.
    folder : Path
        Run folder.
    resume : bool
        Continue the run of that folder; its own recipe must be the one given.
    initial : Path or None
        Weights to start from, of the same sizes; R-MM-Net may start from MM-Net.
    report : callable or None
        Takes what happened after every step.
    device : torch.device or str
        Where simulations are made and the network is trained.
    team : Team or None
        The processes of the run; None is one.

    Raises
    ------
    MajorantError
        If the folder holds another run, or there is none to continue.
    """

    def __init__(
        self,
        recipe: Recipe,
        leadfield: Leadfield,
        folder: Path,
        *,
        resume: bool = False,
        initial: Path | None = None,
        report: Report | None = None,
        device: torch.device | str = "cpu",
        team: Team | None = None,
    ) -> None:
        space = source_fingerprint(leadfield)
        if recipe.network.n_sources != leadfield.n_locations:
            sized = replace(recipe.network, n_sources=leadfield.n_locations)
            recipe = replace(recipe, network=sized)
        self.recipe, self.folder, self.report, self.space = recipe, folder, report, space
        self.device, self.team = torch.device(device), team or Alone()
        warm = None if initial is None else read_weights(initial)
        self._claim(resume, None if warm is None else warm[1].sha256)
        self.train = simulated(recipe, leadfield, "train", recipe.n_train, self.device)
        self.valid = simulated(recipe, leadfield, "validation", recipe.n_validation, self.device)
        self.judge = Localisation(leadfield, self.train.sfreq)
        self.network = make_network(recipe.network, torch.Generator().manual_seed(recipe.seed))
        if warm is not None and not resume:
            self.network.load_state_dict(warm[0].state_dict())
        self.network.to(self.device)
        self.operator = self.train.operator()
        grid = TimeGrid.between(self.train.n_times, self.train.sfreq, recipe.network.rate)
        self.down = None if grid is None else grid.down.float().to(self.device)
        prior = set(self.network.prior.parameters())
        rest = [p for p in self.network.parameters() if p not in prior]
        self.optimiser = torch.optim.Adam(
            [{"params": rest}, {"params": list(self.network.prior.parameters())}], lr=recipe.rate
        )
        self.average = (
            {n: p.detach().clone() for n, p in self.network.named_parameters()}
            if recipe.average
            else {}
        )
        self.step, self.best, self.order = 0, None, (-1, torch.empty(0))
        self.history: list[dict[str, Any]] = []
        if resume:
            self._restore()

    def run(self, until: int | None = None) -> Outcome:
        """Train to the end, or until a step; return the best validation."""
        last = self.recipe.steps if until is None else min(until, self.recipe.steps)
        began, losses = time.monotonic(), []
        while self.step < last:
            loss = self._update()
            losses.append([float(v.detach()) for v in (loss.total, loss.truth, loss.prior)])
            self.step += 1
            line: dict[str, Any] = {
                "step": self.step,
                "steps": self.recipe.steps,
                "loss": losses[-1][0],
            }
            final = self.step == self.recipe.steps
            if self.step % self.recipe.log_every == 0 or final:
                mean = torch.tensor(losses, dtype=torch.float64).mean(0).tolist()
                seconds = time.monotonic() - began
                entry = {"step": self.step, "loss": mean[0], "truth": mean[1], "prior": mean[2]}
                self._write({**entry, "seconds": round(seconds, 1)})
                losses = []
            if (self.step % self.recipe.validate_every == 0 or final) and not self.team.rank:
                line |= self._validate()
            if self.step % self.recipe.save_every == 0 or final or self.step == last:
                self._save()
            if self.report is not None:
                self.report(line)
        return Outcome(self.folder, self.step, self.best or {})

    def _update(self) -> Loss:
        """One step of Adam."""
        r = self.recipe
        index, epoch = self._index()
        own = self.team.share(index)
        if len(own) == 0:
            raise MajorantError(
                f"a batch of {len(index)} samples cannot be shared by {self.team.size} processes; "
                "take a larger batch, or fewer processes"
            )
        data = self.train.turn(self.step)
        batch = data.batch(own, epoch)
        y = batch.y if self.down is None else batch.y @ self.down
        truth = batch.sources(self.down)
        operator = self.operator if data is self.train else data.operator()
        problem = Problem(operator, y.mT.contiguous().mT)
        noise = torch.Generator().manual_seed(1_000_003 * r.seed + self.step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=r.bfloat16):
            iterates = unroll(
                self.network,
                problem,
                self.network.geometry(operator, torch.float32),
                iterations=self._iterations(),
                generator=noise,
            )
            loss = bilevel_loss(
                self.network, iterates, truth, version=r.version, deep=r.deep, support=r.support
            )
        self.optimiser.zero_grad(set_to_none=True)
        (loss.total * self.team.weight(len(own), len(index))).backward()
        self.team.average(p.grad for p in self.network.parameters() if p.grad is not None)
        size = torch.nn.utils.clip_grad_norm_(self.network.parameters(), r.clip)
        scale = self._schedule()
        for group, rate in zip(self.optimiser.param_groups, (r.rate, r.prior_rate), strict=True):
            group["lr"] = rate * scale
        if bool(torch.isfinite(size)):
            self.optimiser.step()
        with torch.no_grad():
            decay = min(r.average, (1.0 + self.step) / (10.0 + self.step))
            for name, p in self.network.named_parameters():
                if name in self.average:
                    self.average[name].lerp_(p, 1.0 - decay)
        return loss

    def _index(self) -> tuple[Tensor, int]:
        """The samples of this step, and their epoch."""
        epoch, place = divmod(self.step, self.recipe.steps_per_epoch)
        if self.order[0] != epoch:
            self.order = (epoch, self.train.permutation(epoch).cpu())
        size = self.recipe.batch
        return self.order[1][place * size : (place + 1) * size], epoch

    def _iterations(self) -> int:
        """Iterations unrolled at this step."""
        r = self.recipe
        early = r.short and self.step < r.lengthen * r.steps
        return r.short if early else r.network.iterations

    def _schedule(self) -> float:
        """Factor of the learning rate at this step."""
        r = self.recipe
        rise = min(1.0, (self.step + 1) / r.warmup) if r.warmup else 1.0
        if r.schedule == "constant":
            return rise
        return rise * 0.5 * (1.0 + math.cos(math.pi * self.step / r.steps))

    def solver(self) -> MMNet:
        """The solver with the averaged weights, guarded where its method is."""
        network = make_network(self.recipe.network)
        state = {**self.network.state_dict(), **self.average}
        network.load_state_dict(state)
        return as_solver(network, sfreq=self.train.sfreq)

    def _validate(self) -> dict[str, Any]:
        """Score the solver; keep the weights if they are the best so far."""
        solver, scores, rises, refused = self.solver(), [], 0, 0
        for batch in self.valid.batches(LIMIT_VALIDATION):
            solution = solve(self.valid.problem(batch), solver)
            scores.append(self.judge.score(batch.x, solution.estimate, batch.seed))
            rises += int(solution.certificate.violations.sum())
            refused += int(solution.certificate.refused.sum())
        joined = Scores.cat(scores)
        names = {"LE": "le", "AUC": "auc", "nMSE": "nmse", "PSNR": "psnr", "TE": "te"}
        metrics: dict[str, Any] = {
            key: round(float(getattr(joined, name).mean()), 5) for key, name in names.items()
        }
        metrics |= {"violations": rises, "refused": refused, "n": len(self.valid)}
        metrics |= {"step": self.step}
        self._write({"step": self.step, "validation": metrics})
        draw_curves(self.history, self.folder / "curves.png")
        if self.best is None or metrics["PSNR"] > self.best["PSNR"]:
            self.best = metrics
            write_weights(
                self.folder / BEST,
                solver.network,
                name=self.recipe.method,
                source_space=self.space,
                recipe=self.recipe.to_dict(),
                metrics={"validation": metrics},
            )
        return metrics

    def _claim(self, resume: bool, initial: str | None) -> None:
        """Freeze the recipe in the folder, or find it there unchanged."""
        if self.team.rank and not resume:
            return
        config = {"recipe": self.recipe.to_dict(), "source_space": self.space}
        if initial is not None or not resume:
            config["initial"] = initial
        plain = json.loads(json.dumps(config))
        path = self.folder / CONFIG
        if not resume:
            if (self.folder / LAST).exists():
                raise MajorantError(
                    f"{self.folder} holds a run already; continue it with --resume, or give "
                    "another folder"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({**plain, "versions": versions()}, indent=1) + "\n")
            (self.folder / LOG).write_text("")
            return
        if not path.exists():
            raise MajorantError(f"{self.folder} holds no run to continue; leave out --resume")
        held = json.loads(path.read_text())
        for key, value in plain.items():
            if held.get(key) != value:
                raise MajorantError(
                    f"the {key.replace('_', ' ')} of {self.folder} is frozen and differs from the "
                    "one asked for; continue with the preset it was started with"
                )

    def _save(self) -> None:
        if self.team.rank:
            return
        info = {"step": self.step, "best": self.best, "history": self.history}
        save_checkpoint(self.folder / LAST, self.network, self.optimiser, self.average, info)

    def _restore(self) -> None:
        path = self.folder / LAST
        if not path.exists():
            return
        info = load_checkpoint(path, self.network, self.optimiser, self.average)
        self.step, self.best, self.history = info["step"], info["best"], info["history"]
        if self.team.rank:
            return
        text = "".join(json.dumps(entry) + "\n" for entry in self.history)
        (self.folder / LOG).write_text(text)

    def _write(self, entry: dict[str, Any]) -> None:
        self.history.append(entry)
        if self.team.rank:
            return
        with (self.folder / LOG).open("a") as file:
            file.write(json.dumps(entry) + "\n")


def simulated(
    recipe: Recipe,
    leadfield: Leadfield,
    part: Part,
    n: int,
    device: torch.device | str = "cpu",
) -> SimulatedPairs:
    """Return the data of a recipe.

    Parameters
    ----------
    recipe : Recipe
    leadfield : Leadfield
    part : {"train", "validation", "test"}
    n : int
        Samples.
    device : torch.device or str
        Where batches of SEREEGA type are made.
    """
    if recipe.data == "general":
        heads = draw_heads(*HEADS[part])
        return General(heads, n, recipe.data_seed, part=part, device=device)
    if recipe.data == "nmm":
        settings = NeuralMassSettings(crop=recipe.crop)
        return NeuralMassLike(leadfield, n, recipe.data_seed, part=part, settings=settings)
    return SereegaLike(leadfield, n, recipe.data_seed, part=part, device=device)


def draw_curves(history: list[dict[str, Any]], path: Path) -> None:
    """Draw loss and validation metrics over steps; nothing where there is no matplotlib.

    The same numbers are in the log, so a bare node loses the picture alone.

    Parameters
    ----------
    history : list of dict
        Entries of the log.
    path : Path
        PNG to write.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return

    figure = Figure(figsize=(9, 3), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    losses = [entry for entry in history if "truth" in entry]
    for key, words in (("truth", "1 - cos(x*, x)"), ("prior", "prior")):
        left.plot([e["step"] for e in losses], [e[key] for e in losses], label=words)
    left.set(xlabel="step", title="training loss", yscale="log")
    left.legend(frameon=False)
    checks = [entry["validation"] for entry in history if "validation" in entry]
    for axis, key, unit in ((middle, "LE", "mm"), (right, "PSNR", "dB")):
        axis.plot([e["step"] for e in checks], [e[key] for e in checks], marker=".")
        axis.set(xlabel="step", title=f"validation {key}, {unit}")
    figure.savefig(path, dpi=110)
