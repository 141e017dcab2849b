"""Training of the MM-Net family: what :mod:`majorant.training.loop` carries out.

A run folder holds, beside log and checkpoint, ``config.json`` (the recipe, frozen once set),
``curves.png`` and ``best.safetensors`` (weights and card, what the solver loads).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.learned.directions import symmetrised
from majorant.learned.families import as_solver, make_network
from majorant.learned.mmnet import MMNet
from majorant.learned.stored import read_weights, versions, write_weights
from majorant.learned.unrolled import MMNetwork
from majorant.metrics.localisation import Localisation, Scores
from majorant.problem import MajorantError
from majorant.simulate.dataset import Part, SereegaLike, SimulatedPairs
from majorant.simulate.general import General
from majorant.simulate.heads import Heads
from majorant.simulate.neural_mass_data import NeuralMassLike, NeuralMassSettings
from majorant.solvers.loop import solve
from majorant.training.bilevel import distance
from majorant.training.checkpoint import load_checkpoint, save_checkpoint
from majorant.training.curves import draw_curves
from majorant.training.engine import Engine
from majorant.training.initial import fitting
from majorant.training.loop import LAST, LOG, Report, Rhythm, carry_out, write_line
from majorant.training.presets import Recipe
from majorant.training.team import Alone, Team

CONFIG, BEST = "config.json", "best.safetensors"
LIMIT_VALIDATION = 100
"""Samples solved at once in validation."""
HEADS: Mapping[Part, tuple[int, int]] = {"train": (64, 0), "validation": (1, 1), "test": (1, 2)}
"""Heads of general data in each part, and the seed they are drawn from."""
SAVE_SECONDS = 60.0
"""A checkpoint is written at least this often, and more often under a short budget."""


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
    steps : int
        Steps of the whole run.
    """

    folder: Path
    step: int
    metrics: dict[str, Any]
    steps: int

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.steps


@dataclass(frozen=True)
class RunSite:
    """Where a run takes place.

    Attributes
    ----------
    device : torch.device or str
        Where simulations are made and the network is trained.
    team : Team or None
        The processes of the run; None is one.
    compiled, fused, say
        See :class:`majorant.training.engine.Engine`.
    """

    device: torch.device | str = "cpu"
    team: Team | None = None
    compiled: bool = False
    fused: bool | None = None
    say: Callable[[str], None] = print


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
    site : RunSite or None
        Where it runs; None is one process on the CPU.
    heads : callable or None
        Makes the heads that general data are simulated on.

    Attributes
    ----------
    closing : float
        Seconds that the last validation and checkpoint took, or are expected to take.

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
        site: RunSite | None = None,
        heads: Heads | None = None,
    ) -> None:
        space = leadfield.geometry.fingerprint
        recipe = sized(recipe, leadfield)
        self.recipe, self.folder, self.report, self.space = recipe, folder, report, space
        site = site or RunSite()
        self.device, self.team = torch.device(site.device), site.team or Alone()
        warm = None if initial is None else read_weights(initial)
        start = None if warm is None else fitting(warm[0], make_network(recipe.network), initial)
        self._claim(resume, None if warm is None else warm[1].sha256)
        made = partial(simulated, recipe, leadfield, device=self.device, heads=heads)
        self.train = made("train", recipe.n_train)
        self.valid = made("validation", recipe.n_validation)
        self.judge = Localisation(leadfield, self.train.sfreq)
        self.engine = Engine(
            recipe,
            self.train,
            team=self.team,
            compiled=site.compiled,
            fused=site.fused,
            say=site.say,
        )
        self.network = self.engine.network
        if start is not None and not resume:
            self.engine.adopt(start.state_dict())
        self.best: dict[str, Any] | None = None
        self.history: list[dict[str, Any]] = []
        self.closing = 0.0
        if resume:
            self._restore()

    def run(self, until: int | None = None, deadline: float | None = None) -> Outcome:
        """Train to the end, to a step, or until the time is up; return the best validation.

        Parameters
        ----------
        until : int or None
            Step to stop at.
        deadline : float or None
            Reading of ``time.monotonic`` by which everything is written.
        """
        r = self.recipe
        pause = min(SAVE_SECONDS, r.budget / 12.0) if r.budget else SAVE_SECONDS
        rhythm = Rhythm(r.log_every, r.validate_every, r.save_every, pause)
        carry_out(self, rhythm, until=until, deadline=deadline, report=self.report)
        return Outcome(self.folder, self.step, self.best or {}, r.steps)

    def update(self) -> Tensor:
        """Take a step; return total loss, loss of the truth and of the prior."""
        return self.engine.update()

    def log(self, losses: Tensor, seconds: float) -> None:
        """Note the mean losses."""
        total, truth, prior = losses.tolist()
        entry = {"step": self.step, "loss": total, "truth": truth, "prior": prior}
        self._write({**entry, "seconds": round(seconds, 1)})

    def late(self, deadline: float, taken: float) -> bool:
        """Whether there is no time for another step, which took so long, and to finish.

        The answer is the same on all processes.
        """
        if self.team.size > 1 and self.step % self.recipe.log_every:
            return False
        now = time.monotonic()
        return bool(self.team.same([now + taken + 2.0 * self.closing > deadline])[0])

    @property
    def step(self) -> int:
        """Steps taken."""
        return self.engine.step

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.recipe.steps

    def solver(self) -> MMNet:
        """The solver with the averaged weights; odd if it knows both directions."""
        network = make_network(self.recipe.network)
        state = {**self.network.state_dict(), **self.engine.average}
        network.load_state_dict(state)
        if network.settings.signed and isinstance(network, MMNetwork):
            network = symmetrised(network)
        return as_solver(network, sfreq=self.train.sfreq)

    def validate(self) -> dict[str, Any]:
        """Score the solver; keep the weights if they are the best so far."""
        if self.team.rank:
            return {}
        began = time.monotonic()
        solver, scores, apart, rises, refused = self.solver(), [], 0.0, 0, 0
        for batch in self.valid.batches(LIMIT_VALIDATION):
            solution = solve(self.valid.problem(batch), solver)
            scores.append(
                self.judge.score(batch.x.cpu(), solution.estimate.cpu(), batch.seed.cpu())
            )
            apart += float(distance(batch.x.to(solution.estimate), solution.estimate).sum())
            rises += int(solution.certificate.violations.sum())
            refused += int(solution.certificate.refused.sum())
        joined = Scores.cat(scores)
        names = {"LE": "le", "AUC": "auc", "nMSE": "nmse", "PSNR": "psnr", "TE": "te"}
        metrics: dict[str, Any] = {
            key: round(float(getattr(joined, name).mean()), 5) for key, name in names.items()
        }
        metrics["apart"] = round(apart / len(self.valid), 5)
        metrics |= {"violations": rises, "refused": refused, "n": len(self.valid)}
        metrics |= {"step": self.step}
        self._write({"step": self.step, "validation": metrics})
        draw_curves(self.history, self.folder / "curves.png")
        # of several sources, which are rarely all found, PSNR would reward empty maps
        judged, sign = ("apart", -1) if self.recipe.data == "general" else ("PSNR", 1)
        if self.best is None or sign * metrics[judged] > sign * self.best[judged]:
            self.best = metrics
            write_weights(
                self.folder / BEST,
                solver.network,
                name=self.recipe.method,
                source_space=self.space,
                recipe=self.recipe.to_dict(),
                metrics={"validation": metrics},
            )
        self.closing = time.monotonic() - began
        return metrics

    def _claim(self, resume: bool, initial: str | None) -> None:
        """Freeze the recipe in the folder, or find it there unchanged."""
        if self.team.rank and not resume:
            return
        config = {"recipe": self.recipe.to_dict(), "source_space": self.space}
        if initial is not None or not resume:
            config["initial"] = initial
        plain = json.loads(json.dumps(config))
        if not resume:
            if (self.folder / LAST).exists():
                raise MajorantError(
                    f"{self.folder} holds a run already; continue it with --resume, or give "
                    "another folder"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps({**plain, "versions": versions()}, indent=1)
            (self.folder / CONFIG).write_text(text + "\n")
            (self.folder / LOG).write_text("")
            return
        held = read_config(self.folder)
        for key, value in plain.items():
            if held.get(key) != value:
                raise MajorantError(
                    f"the {key.replace('_', ' ')} of {self.folder} is frozen and differs from the "
                    "one asked for; continue with the preset it was started with"
                )

    def save(self) -> None:
        """Write a checkpoint."""
        if self.team.rank:
            return
        info = {"step": self.step, "best": self.best, "history": self.history}
        engine = self.engine
        save_checkpoint(self.folder / LAST, engine.network, engine.optimiser, engine.average, info)

    def _restore(self) -> None:
        path = self.folder / LAST
        if not path.exists():
            return
        engine = self.engine
        info = load_checkpoint(path, engine.network, engine.optimiser, engine.average)
        engine.step, self.best, self.history = info["step"], info["best"], info["history"]
        if self.team.rank:
            return
        text = "".join(json.dumps(entry) + "\n" for entry in self.history)
        (self.folder / LOG).write_text(text)

    def _write(self, entry: dict[str, Any]) -> None:
        self.history.append(entry)
        if self.team.rank:
            return
        write_line(self.folder, entry)


def read_config(folder: Path) -> dict[str, Any]:
    """Read the frozen configuration of a run.

    Raises
    ------
    MajorantError
        If the folder holds no run, or its configuration cannot be read.
    """
    path = folder / CONFIG
    if not path.exists():
        raise MajorantError(f"{folder} holds no run to continue; leave out --resume")
    try:
        held = json.loads(path.read_text())
        held["recipe"].keys()
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise MajorantError(
            f"{path} is no configuration of a run; restore it from a copy, or start the run anew"
        ) from error
    return held


def sized(recipe: Recipe, leadfield: Leadfield) -> Recipe:
    """Return the recipe for as many sources as the lead field has."""
    if recipe.network.n_sources == leadfield.n_locations:
        return recipe
    return replace(recipe, network=replace(recipe.network, n_sources=leadfield.n_locations))


def simulated(
    recipe: Recipe,
    leadfield: Leadfield,
    part: Part,
    n: int,
    device: torch.device | str = "cpu",
    heads: Heads | None = None,
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
        Where batches are made.
    heads : callable or None
        Makes the heads that general data are simulated on.

    Raises
    ------
    MajorantError
        If general data are asked for without heads.
    """
    if recipe.data == "general":
        if heads is None:
            raise MajorantError(
                "general data are simulated on many heads, and there is nothing to make them; "
                "train with `majorant train`, or give heads=majorant.head.simulated.template_heads"
            )
        return General(heads(*HEADS[part]), n, recipe.data_seed, part=part, device=device)
    if recipe.data == "nmm":
        settings = NeuralMassSettings(crop=recipe.crop)
        return NeuralMassLike(
            leadfield, n, recipe.data_seed, part=part, settings=settings, device=device
        )
    return SereegaLike(leadfield, n, recipe.data_seed, part=part, device=device)
