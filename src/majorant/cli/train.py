"""``majorant train`` and ``majorant simulate``: weights, and the data they come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majorant.cli.answer import STDOUT, Json, deliver
from majorant.cli.records import spread
from majorant.cli.voice import Voice, tell
from majorant.errors import MajorantError, nearest

if TYPE_CHECKING:
    from majorant.training.command import TrainingRequest

UNFOLDED = "Unfolded sparse Bayes"
MACHINE = "Machines"
SHARED = "shared"
SBL = "unfolded-sbl"
NAMES = (SBL, "sbl")
"""The solver's name, and a shorter one."""
TRAINED = ("mm-net", "r-mm-net", "4dvarnet", "meta-curvature", "modgrad", *NAMES)


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What a training runs on."""

    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Samples a step; default: preset's.", rich_help_panel=MACHINE),
    ] = None
    devices: Annotated[
        int,
        typer.Option(min=1, help="Processes a node.", rich_help_panel=MACHINE),
    ] = 1
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.", rich_help_panel=MACHINE)] = 1
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Compile iterations; default: on CUDA.",
            rich_help_panel=MACHINE,
        ),
    ] = None
    checkpointing: Annotated[
        bool,
        typer.Option("--checkpointing", help="Less memory, more time.", rich_help_panel=MACHINE),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Growing:
    """What an unfolded sparse Bayesian solver is grown to."""

    correction: Annotated[
        str | None, typer.Option(help="bias, mlp or attention.", rich_help_panel=UNFOLDED)
    ] = None
    mode: Annotated[
        str | None, typer.Option(help="gated, theta, free or exact.", rich_help_panel=UNFOLDED)
    ] = None
    layers: Annotated[
        int | None, typer.Option(min=1, help="Layers to grow.", rich_help_panel=UNFOLDED)
    ] = None
    minutes: Annotated[
        float | None, typer.Option(help="Stop after this; resumable.", rich_help_panel=UNFOLDED)
    ] = None


def _trained(name: str) -> str:
    """Refuse what cannot be trained, before anything is loaded."""
    if name not in TRAINED:
        raise MajorantError(
            f"there is no learned solver {name!r}{nearest(name, TRAINED)}; choose one of "
            f"{', '.join(TRAINED)}"
        )
    return name


@spread
def train(
    solver: Annotated[
        str,
        typer.Argument(
            help="mm-net, r-mm-net, 4dvarnet, meta-curvature, modgrad, unfolded-sbl.",
            callback=_trained,
        ),
    ],
    *,
    data: Annotated[str, typer.Option(help="sereega, nmm or general.")] = "sereega",
    preset: Annotated[
        str,
        typer.Option(
            help="paper, cpu, refine, support, finish, polish, table, scan, general, "
            "shared, tiny; unfolded-sbl: montages, mover, layers, settle, everyday, patches."
        ),
    ] = "tiny",
    folder: Annotated[
        Path | None, typer.Option(help="Run folder; default: runs/SOLVER-DATA-PRESET.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run there.")] = False,
    initial: Annotated[
        Path | None, typer.Option(help="Weights to go on from; or sereega, nmm, general.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of samples and order.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Wall-clock time to fit it to: 90s, 20min, 1h.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch.")] = None,
    machines: Machines,
    growing: Growing,
    json: Json = None,
) -> None:
    """Train a learned solver on simulations; checkpoints let --resume go on.

    \b
    majorant train mm-net --data sereega --preset tiny
    majorant train mm-net --preset shared --budget 20min --resume
    majorant train unfolded-sbl --correction mlp --mode gated --preset tiny
    """
    if solver in NAMES:
        asked = {"preset": preset, "initial": initial, "resume": resume, "seed": seed}
        _unfolded(folder or Path("runs") / f"{SBL}-{preset}", growing, json=json, **asked)
        return
    if preset == SHARED and solver == "mm-net":
        from majorant.cli.train_shared import shared

        shared(folder or Path("runs") / "mm-net-shared", resume, budget, json)
        return
    given = [name for name, value in asdict(growing).items() if value is not None]
    if given:
        raise MajorantError(f"--{given[0]} belongs to the solver {SBL}; leave it out for {solver}")
    from majorant.training.command import TrainingRequest

    own = asdict(machines)
    request = TrainingRequest(
        solver=solver,
        data=data,
        preset=preset,
        folder=folder,
        resume=resume,
        initial=_packaged(initial, solver),
        budget=budget,
        batch=own.pop("batch"),
        checkpointing=own.pop("checkpointing"),
        seed=seed,
    )
    _unrolled(request, {"device": device, "threads": threads, **own}, json)


def _unrolled(request: TrainingRequest, hardware: dict[str, Any], json: str | None) -> None:
    """Train a solver of the MM-Net family."""
    from majorant.training.budget import process_began
    from majorant.training.command import Hardware
    from majorant.training.command import train as run

    heads = None
    if request.data == "general":
        from majorant.head.simulated import template_heads as heads
    outcome = run(request, Hardware(**hardware), began=process_began(), heads=heads)
    metrics = ", ".join(
        f"{name} {outcome.metrics[name]:.4g}"
        for name in ("LE", "AUC", "nMSE", "PSNR", "TE", "violations", "refused")
        if name in outcome.metrics
    )
    found = {
        "folder": str(outcome.folder),
        "steps": outcome.step,
        "finished": outcome.finished,
        "metrics": outcome.metrics,
    }
    asked = {"solver": request.solver, "data": request.data, "preset": request.preset}
    if not deliver({**asked, **found}, json):
        more = "" if outcome.finished else f" of {outcome.steps}; go on with --resume"
        tell(f"{outcome.folder}: {outcome.step} steps{more}; {metrics}")


def _packaged(initial: Path | None, solver: str) -> Path | None:
    """The file of weights: one's own, or packaged ones by what they were trained on."""
    from majorant.weights.shipped import DOMAINS, GENERAL, shipped

    if initial is None or initial.exists() or str(initial) not in (GENERAL, *DOMAINS):
        return initial
    return shipped(solver, str(initial))


def _unfolded(
    folder: Path,
    growing: Growing,
    *,
    preset: str,
    initial: Path | None,
    resume: bool,
    seed: int | None,
    json: str | None,
) -> None:
    """Grow an unfolded sparse Bayesian solver."""
    from majorant.training.layerwise import refuse_older
    from majorant.training.loop import LAST
    from majorant.training.sbl import Changes, train_sbl
    from majorant.weights.sbl import weights_at

    refuse_older(folder)
    if (folder / LAST).exists() != resume:
        raise MajorantError(
            f"there is no run in {folder} to resume; leave --resume out"
            if resume
            else f"{folder} holds a run; continue it with --resume, or give another --folder"
        )
    own = asdict(growing)
    minutes = own.pop("minutes")
    start = None if initial is None or resume else weights_at(initial)
    with Voice().waiting("growing") as move:
        run = train_sbl(
            folder,
            preset,
            Changes(**own, seed=seed),
            **_many_heads(preset),
            start=start,
            minutes=minutes,
            progress=lambda line: move(line["step"], line["steps"]),
        )
    done = "finished" if run.finished else "stopped early; go on with --resume"
    found = {"folder": str(folder), "steps": run.steps, "finished": run.finished}
    if not deliver({"solver": SBL, "preset": preset, **found}, json):
        tell(f"{folder}: {run.steps} steps planned, {done}")


def _many_heads(preset: str) -> dict[str, Any]:
    """What a preset is trained on, where it is not the packaged template."""
    from majorant.training.growth import GROWN, ON_MANY_HEADS

    if preset in GROWN and GROWN[preset].everyday:
        from majorant.head.simulated import everyday_world

        return {"world": everyday_world()}
    if preset in ON_MANY_HEADS:
        from majorant.head.sparse import training_heads

        return {"heads": training_heads()}
    return {}


def simulate(
    data: Annotated[str, typer.Argument(help="nmm.")],
    output: Annotated[Path, typer.Option("--out", help="Folder of the collection.")],
    n: Annotated[int, typer.Option(min=1, help="Waveforms.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed.")] = 333,
    json: Json = None,
) -> None:
    """Make neural-mass waveforms on disk; a run that was stopped goes on.

    \b
    majorant simulate nmm --n 200 --out clips
    majorant simulate nmm --n 200 --out clips --json clips.json
    """
    from majorant.simulate.neural_mass_clips import ClipRecipe
    from majorant.simulate.neural_mass_shards import make_clips

    if data != "nmm":
        raise MajorantError(
            f"{data!r} is not made on disk; only nmm is, everything else is made on the fly"
        )
    clips = make_clips(n, output, ClipRecipe(seed=seed), show=json != STDOUT)
    found = {
        "folder": str(output),
        "asked": clips.asked,
        "clips": len(clips),
        "sfreq": clips.sfreq,
        "reason": clips.reason,
        "seed": seed,
    }
    deliver({"data": data, **found}, json)
