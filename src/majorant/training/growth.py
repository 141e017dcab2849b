"""What growing an unfolded solver layer by layer consists of: settings, plan and loss.

Layer ``l`` is appended as a step that corrects nothing. Phase 1 trains it alone, phase 2 all layers
at a tenth of the rate. A last phase, ours, trains all layers together. ``training/layerwise.py``
carries the plan out.

Source: arXiv:2606.07196, training of the unfolded solver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor

from majorant.energies.basis import Basis
from majorant.learned.unfolded import Mode
from majorant.majorants.evidence import EvidenceSurrogate
from majorant.networks.corrections import CorrectionSettings
from majorant.problem import MajorantError
from majorant.simulate.everyday import EverydayBatch
from majorant.simulate.sparse import SparseBatch, SparseSettings
from majorant.training.ground import Ground

MAP_CLAMP = 4.0
"""Normalised errors above this are cut off: a bad sample must not lead the others."""

CHECKPOINTED, LARGE = 20, 2**30
"""Layers, and bytes of what attention sees, beyond which the backward pass makes them again."""

ACTIVE = 0.1
"""A location is active above this share of the maximum."""


@dataclass(frozen=True)
class LayerwiseSettings:
    """How a network is grown.

    Attributes
    ----------
    correction : CorrectionSettings
    mode : {"gated", "theta", "free", "exact"}
        Trained as it will be used; ``exact`` trains as ``free``.
    data : SparseSettings
    lengths : tuple of int
        Numbers of times, each of which gives a stream of its own per head; empty is that of
        ``data``.
    batch : int
    steps_new, steps_all, steps_last : int
        Of phase 1, of phase 2, and of the last phase.
    rate : float
        Of Adam.
    fine : float
        Rate of phase 2, relative to it.
    deep : float
        Weight of the earlier layer's loss.
    noise_weight : float
        Weight of the error of the logarithms of the noise variances.
    error_weight : float
        Weight of the error of the sources; 1 in the paper.
    cosine_weight : float
        Weight of one minus the cosine of the maps; 1 in the paper.
    transport_weight : float
        Weight of the distance between maps, see :meth:`Ground.apart`; 0 in the paper.
    mover_weight : float
        Weight of the earth mover's distance in centimetres, exactly; 0 in the paper.
    ranking_weight : float
        Weight of the share of pairs of an active and a silent location in the wrong order, made
        smooth, see :func:`misordered`; 0 in the paper.
    widths_mm : tuple of float
        Widths of its kernels.
    basis : {"points", "patches"}
        Columns of the solver, see :mod:`majorant.energies.basis`.
    everyday : bool
        Whether to train on everyday data (``training/sessions.py``) instead of ``data``.
    clip : float
        Largest norm of a gradient.
    validation : int
        Samples per head.
    worthwhile : float
        Relative decrease of the validation loss below which a new layer is not worth keeping.
    save_every : int
        Steps between checkpoints.
    seed : int
    """

    correction: CorrectionSettings = field(default_factory=CorrectionSettings)
    mode: Mode = "gated"
    data: SparseSettings = field(default_factory=SparseSettings)
    lengths: tuple[int, ...] = ()
    batch: int = 16
    steps_new: int = 500
    steps_all: int = 500
    steps_last: int = 10_000
    rate: float = 3e-3
    fine: float = 0.1
    deep: float = 0.3
    noise_weight: float = 0.1
    error_weight: float = 1.0
    cosine_weight: float = 1.0
    transport_weight: float = 0.0
    mover_weight: float = 0.0
    ranking_weight: float = 0.0
    widths_mm: tuple[float, ...] = (5.0, 10.0, 20.0, 40.0)
    basis: Basis = "points"
    everyday: bool = False
    clip: float = 1.0
    validation: int = 32
    worthwhile: float = 1e-3
    save_every: int = 50
    seed: int = 333

    def __post_init__(self) -> None:
        if min(self.batch, self.validation, self.save_every) < 1:
            raise MajorantError(
                f"batch {self.batch}, validation {self.validation} and save_every "
                f"{self.save_every} were given; all are at least 1"
            )
        if min(self.steps_new, self.steps_all, self.steps_last) < 0 or not self.rate > 0:
            raise MajorantError("numbers of steps are 0 or more, and the rate is positive")


LAYERS = LayerwiseSettings(
    correction=CorrectionSettings("attention"),
    lengths=(50, 20, 50, 100),
    batch=8,
    steps_new=10,
    steps_all=0,
    steps_last=6000,
    rate=2e-3,
    noise_weight=3.0,
    error_weight=0.1,
    cosine_weight=0.2,
    transport_weight=3.0,
    mover_weight=6.0,
    ranking_weight=1.0,
    validation=2,
    save_every=50,
)
"""Attention with weights of its own in every layer: a preset, and what the next one changes."""

EVERYDAY = LayerwiseSettings(
    correction=CorrectionSettings(shared=True),
    batch=4,
    steps_new=10,
    steps_all=0,
    steps_last=400,
    rate=2e-3,
    noise_weight=0.0,
    error_weight=0.1,
    cosine_weight=1.0,
    mover_weight=1.0,
    ranking_weight=0.3,
    validation=2,
    save_every=20,
    everyday=True,
    seed=555,
)
"""On everyday data, going on from weights: a preset, and what its relative on patches changes."""

GROWN: Mapping[str, LayerwiseSettings] = MappingProxyType(
    {
        "everyday": EVERYDAY,
        "patches": replace(EVERYDAY, basis="patches", steps_last=220),
        "tiny": LayerwiseSettings(
            correction=CorrectionSettings(layers=5, shared=True),
            batch=4,
            steps_new=10,
            steps_all=0,
            steps_last=100,
            rate=1e-2,
            error_weight=0.3,
            transport_weight=4.0,
            validation=8,
        ),
        "cpu": LayerwiseSettings(
            correction=CorrectionSettings(shared=True),
            batch=4,
            steps_new=20,
            steps_all=0,
            steps_last=1500,
            rate=5e-3,
            error_weight=0.3,
            transport_weight=4.0,
            validation=8,
        ),
        "montages": LayerwiseSettings(
            correction=CorrectionSettings(shared=True),
            lengths=(50, 20, 50, 100),
            batch=4,
            steps_new=10,
            steps_all=0,
            steps_last=1200,
            rate=5e-3,
            noise_weight=1.0,
            error_weight=0.1,
            cosine_weight=0.3,
            transport_weight=15.0,
            ranking_weight=3.0,
            validation=2,
            save_every=20,
        ),
        "mover": LayerwiseSettings(
            correction=CorrectionSettings("attention", shared=True),
            lengths=(50, 20, 50, 100),
            batch=4,
            steps_new=10,
            steps_all=0,
            steps_last=1300,
            rate=3e-3,
            noise_weight=1.0,
            error_weight=0.1,
            cosine_weight=0.3,
            transport_weight=5.0,
            mover_weight=4.0,
            ranking_weight=2.0,
            validation=2,
            save_every=20,
        ),
        "layers": LAYERS,
        "settle": replace(
            LAYERS,
            steps_last=2800,
            rate=1e-3,
            error_weight=0.05,
            cosine_weight=0.1,
            transport_weight=1.0,
            mover_weight=10.0,
            ranking_weight=0.3,
            seed=444,
        ),
        "paper": LayerwiseSettings(),
    }
)
"""``tiny`` takes minutes, ``cpu`` half an hour on one core, ``paper`` a GPU. ``montages`` is for
several lengths of data, and for the caps and skulls of the sparse Bayesian benchmark; ``mover``
goes on from it with attention and the exact earth mover's distance; ``layers`` goes on from that
with weights of their own for every layer, and ``settle`` ends with little else than that distance.
``everyday`` and ``patches`` go on from the weights of mode ``gated`` on everyday data, two minutes
of one core each. The smaller ones share one set of weights between the layers, which learns
faster; all but ``paper`` look at where the mass of maps lies.
"""

ON_MANY_HEADS = ("montages", "mover", "layers", "settle")
"""Presets that are trained on the caps and skulls of the sparse Bayesian benchmark."""


@dataclass(frozen=True)
class Stage:
    """Some steps of one kind.

    Attributes
    ----------
    name : {"new", "all", "last"}
    layers : int
        Layers that are run.
    steps : int
    rate : float
    frozen : int
        Leading layers that are not trained.
    """

    name: str
    layers: int
    steps: int
    rate: float
    frozen: int = 0


def stages(settings: LayerwiseSettings) -> Iterator[Stage]:
    """The plan of a run in which every layer helps."""
    s, total = settings, settings.correction.layers
    shared = settings.correction.shared
    for layers in range(1, total + 1):
        frozen = 0 if shared else layers - 1
        yield Stage("new", layers, s.steps_new, s.rate, frozen)
        if layers > 1:
            yield Stage("all", layers, s.steps_all, s.fine * s.rate)
    yield Stage("last", total, s.steps_last, s.rate)


def recomputes(settings: LayerwiseSettings, n_sources: int, layers: int) -> bool:
    """Whether the backward pass makes the layers again instead of keeping what they were made of.

    It does for deep networks, and where what attention sees of neighbours fills more than a GiB.

    Parameters
    ----------
    settings : LayerwiseSettings
    n_sources, layers : int
    """
    looked_at = settings.correction.neighbours * settings.correction.hidden
    seen = 4 * settings.batch * n_sources * looked_at * layers
    return layers > CHECKPOINTED or (settings.correction.kind == "attention" and seen > LARGE)


def layer_loss(
    surrogate: EvidenceSurrogate,
    batch: SparseBatch | EverydayBatch,
    settings: LayerwiseSettings,
    ground: Ground | None = None,
) -> Tensor:
    """Loss of what a layer led to, shape ().

    ``min(|x - x^|^2 / |x|^2, 4) + 1 - cos(row norms) + weight mean (log lambda - truth)^2``, mean
    over samples; with a ground also its distances between the row norms, and their order.

    Parameters
    ----------
    surrogate : EvidenceSurrogate
    batch : SparseBatch or EverydayBatch
        The noise of everyday data is whitened, and its variances are nothing to be learned from.
    settings : LayerwiseSettings
        For the weights.
    ground : Ground or None
    """
    truth = batch.x
    estimate = surrogate.evidence.mean(batch.y)
    error = (truth - estimate).square().sum((1, 2)) / truth.square().sum((1, 2))
    real, found = (_norms(x) for x in (truth, estimate))
    loss = settings.error_weight * error.clamp_max(MAP_CLAMP).mean()
    unlike = 1.0 - torch.cosine_similarity(real, found, dim=1)
    loss = loss + settings.cosine_weight * unlike.mean()
    if settings.ranking_weight:
        loss = loss + settings.ranking_weight * misordered(real, found).mean()
    if settings.noise_weight and isinstance(batch, SparseBatch):
        miss = surrogate.evidence.noise_variance().log() - batch.noise.double().log()
        loss = loss + settings.noise_weight * miss.square().mean()
    if ground is not None and settings.transport_weight:
        loss = loss + settings.transport_weight * ground.apart(real, found).mean()
    if ground is not None and settings.mover_weight:
        loss = loss + settings.mover_weight * ground.moved_cm(real, found).mean()
    return loss


def misordered(real: Tensor, found: Tensor) -> Tensor:
    """Share of pairs in the wrong order, one minus a smooth area under the ROC curve; (n_batch,).

    A pair is a location above a tenth of the maximum of ``real`` and one below; a step in the
    logarithm of ``found`` is softened to a sigmoid. A map of little amplitude costs the transport
    nothing, and can still be in the right order.

    Parameters
    ----------
    real, found : Tensor, shape (n_batch, n_locations)
        Maps, positive.
    """
    active = real > ACTIVE * real.amax(1, keepdim=True)
    shares = []
    for chosen, level in zip(active, found.log(), strict=True):
        apart = level[~chosen][None] - level[chosen][:, None]
        shares.append(torch.sigmoid(apart).mean())
    return torch.stack(shares)


def _norms(x: Tensor) -> Tensor:
    """Norms of rows, smooth at zero."""
    power = x.square().sum(2)
    return (power + 1e-12 * power.amax(1, keepdim=True).detach()).sqrt()
