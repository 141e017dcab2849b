"""Training an unfolded sparse Bayesian solver from a preset: the door to ``layerwise.py``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield, average_reference
from majorant.learned.unfolded import Mode
from majorant.networks.corrections import CorrectionKind, Corrections
from majorant.randomness import takes_rng
from majorant.simulate.everyday import World
from majorant.simulate.sparse import SparseLike
from majorant.training.command import check_asked
from majorant.training.growth import LayerwiseSettings
from majorant.training.layerwise import Layerwise, Stream, held_seed
from majorant.training.loop import Report
from majorant.training.recipes import UNFOLDED, find_recipe
from majorant.training.sessions import everyday_sessions


@takes_rng
@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a run changes of its preset; what is None is the preset's.

    Attributes
    ----------
    correction : {"bias", "mlp", "attention"} or None
    mode : {"gated", "theta", "free", "exact"} or None
    layers : int or None
    shared : bool or None
        Whether all layers have one set of weights.
    seed : int or None
        Of samples and order; None is that of the run in the folder, or the preset's.
    """

    correction: CorrectionKind | None = None
    mode: Mode | None = None
    layers: int | None = None
    shared: bool | None = None
    seed: int | None = None

    def of(self, base: LayerwiseSettings, held: int | None) -> LayerwiseSettings:
        """Return the settings of a preset with these changes, and the seed of a run held."""
        given = {"kind": self.correction, "layers": self.layers, "shared": self.shared}
        chosen = replace(base.correction, **{k: v for k, v in given.items() if v is not None})
        seeds = (self.seed, held, base.seed)
        seed = next(seed for seed in seeds if seed is not None)
        return replace(base, correction=chosen, mode=self.mode or base.mode, seed=seed)


def train_sbl(
    folder: str | os.PathLike[str],
    preset: str = "tiny",
    changes: Changes | None = None,
    *,
    heads: Sequence[tuple[Leadfield, Leadfield | None]] | None = None,
    world: World | None = None,
    start: str | os.PathLike[str] | None = None,
    minutes: float | None = None,
    progress: Report | None = None,
) -> Layerwise:
    """Train an unfolded sparse Bayesian solver.

    Parameters
    ----------
    folder : path
        Of the run: ``weights.safetensors``, ``last.safetensors``, ``log.jsonl``.
    preset : str
        The recipe is that of ``unfolded-sbl/preset`` in
        :data:`majorant.training.recipes.RECIPES`.
    changes : Changes, optional
        Of the preset.
    heads : sequence of (inverting, generating) lead fields, optional
        Referenced as :func:`referenced` does it; the generating one may be None, for the same. By
        default four montages of 19 to 90 electrodes are picked from the packaged template.
    world : World, optional
        Heads of everyday data, for the presets "everyday" and "patches".
    start : path, optional
        Weights to begin with: growth is skipped.
    minutes : float, optional
        Time for this call; a later call with the same arguments goes on.
    progress : callable, optional
        Takes what happened after every step.

    Returns
    -------
    Layerwise
        The run; its network is ``run.corrections``.

    Raises
    ------
    MajorantError
        If the preset is unknown or the folder belongs to another run.
    """
    changes = changes or Changes()
    check_asked(changes.seed, None, folder)
    base = find_recipe(UNFOLDED, preset)
    assert isinstance(base, LayerwiseSettings)
    settings = changes.of(base, held_seed(folder))
    begin = None if start is None else Corrections.load(start)[0]
    if settings.everyday and world is None:
        raise MajorantError(
            f"the preset {preset!r} trains on everyday data; give world=everyday_world() of "
            "majorant.head.simulated"
        )
    streams: Sequence[Stream] = (
        streams_of(heads or template_heads(), settings)
        if world is None
        else [everyday_sessions(world, settings.seed, settings.batch)]
    )
    run = Layerwise(settings, streams, folder, begin)
    run.run(minutes=minutes, progress=progress)
    return run


def streams_of(
    heads: Sequence[tuple[Leadfield, Leadfield | None]], settings: LayerwiseSettings
) -> list[SparseLike]:
    """Data streams of heads and lengths; heads on one mesh share its distances."""
    made: list[SparseLike] = []
    lengths = settings.lengths or (settings.data.n_times,)
    for n_times in lengths:
        data = replace(settings.data, n_times=n_times)
        for inverting, generating in heads:
            known = [other for other in made if _same_mesh(other, inverting, generating)]
            made.append(
                SparseLike(
                    inverting,
                    settings.seed + len(made),
                    settings=data,
                    generating=generating,
                    space=known[0].space if known else None,
                )
            )
    return made


def _same_mesh(other: SparseLike, inverting: Leadfield, generating: Leadfield | None) -> bool:
    source, own = generating or inverting, other.generating or other.leadfield
    return torch.equal(source.positions, own.positions) and torch.equal(
        inverting.positions, other.leadfield.positions
    )


def referenced(leadfield: Leadfield) -> Leadfield:
    """The lead field against the average of its electrodes, one row for each electrode."""
    basis = average_reference(leadfield.n_sensors)
    return leadfield.transformed(basis.T @ basis)


def template_heads() -> list[tuple[Leadfield, Leadfield | None]]:
    """Montages of 19, 32, 63 and 90 electrodes of the packaged template."""
    full = Leadfield.template_small()
    heads: list[tuple[Leadfield, Leadfield | None]] = []
    for count in (19, 32, 63, 90):
        kept = torch.linspace(0, full.n_sensors - 1, count).round().int().tolist()
        heads.append((referenced(full.pick([full.ch_names[i] for i in kept])), None))
    return heads
