"""Learned corrections of the sparse Bayesian steps: three small networks of one shape.

A correction reads dimensionless clues of every source and every sensor and returns one number for
each, ``c = 3 tanh(head)``, which the solver adds to the logarithm of a variance. The last layer of
every head starts at zero, weights and bias, so a fresh correction is exactly zero and the layer is
its classical parent.

Weights are shared over sources and over sensors: a correction serves any head and any montage, and
commutes with every permutation of them. The clues do not change when the data are multiplied by a
number (``learned/unfolded.py`` makes them), so neither do the corrections.

Source: the unfolded sparse Bayesian solver of arXiv:2606.07196, whose three corrections these are.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from majorant.errors import DamagedFile, MajorantError
from majorant.files.archive import read_archive, write_archive

CorrectionKind = Literal["bias", "mlp", "attention"]

KIND, VERSION = "corrections", 1

LIMIT = 3.0
"""Largest correction of a log-variance in one layer: a factor of 20."""

ROWS, FEWER_ROWS = 4096, 512
"""Rows that a network without gradients is applied to at once; with their neighbours."""

SOURCE_CLUES, SENSOR_CLUES, FACTOR_CLUES = 7, 5, 2
"""Clues per source and per sensor, and how many more of each a look at factors gives."""


@dataclass(frozen=True)
class CorrectionSettings:
    """Which corrections, and how many.

    Attributes
    ----------
    kind : {"bias", "mlp", "attention"}
        Two numbers a layer; a small network on every source alone; or one that also looks at the
        sources it is most easily confused with.
    layers : int
        Layers of the unfolded solver (``K``); the paper uses ten.
    shared : bool
        One set of weights for all layers instead of one for each.
    hidden : int
        Width of the two hidden layers.
    neighbours : int
        Attention only: how many sources each one looks at, those with the most similar columns.
    factors : bool
        Whether to look at what few factors leave of the data, see ``learned/factors.py``; the
        paper's networks do not.
    """

    kind: CorrectionKind = "mlp"
    layers: int = 10
    shared: bool = False
    hidden: int = 32
    neighbours: int = 16
    factors: bool = True

    def __post_init__(self) -> None:
        if self.kind not in get_args(CorrectionKind):
            raise MajorantError(
                f"there is no correction {self.kind!r}; choose one of "
                f"{', '.join(get_args(CorrectionKind))}"
            )
        if min(self.layers, self.hidden, self.neighbours) < 1:
            raise MajorantError(
                f"layers {self.layers}, hidden {self.hidden} and neighbours {self.neighbours} "
                "were given; all are at least 1"
            )

    @property
    def more_clues(self) -> int:
        """Clues of factors that a source, and a sensor, has."""
        return FACTOR_CLUES if self.factors and self.kind != "bias" else 0


@dataclass(frozen=True)
class Clues:
    """What a correction may look at.

    Attributes
    ----------
    sources : Tensor, shape (n_batch, n_sources, 7), or 9 with factors
    sensors : Tensor, shape (n_batch, n_sensors, 5), or 7 with factors
    near : Tensor or None, shape (n_fields, n_sources, n_near), int64
        Attention only: sources with the most similar columns; ``n_fields`` is 1 where the batch
        shares a lead field.
    similarity : Tensor or None, shape (n_fields, n_sources, n_near)
        Magnitude of the cosine between the columns.
    """

    sources: Tensor
    sensors: Tensor
    near: Tensor | None = None
    similarity: Tensor | None = None


class Correction(nn.Module, ABC):
    """The correction of one layer."""

    @abstractmethod
    def forward(self, clues: Clues) -> tuple[Tensor, Tensor]:
        """Return corrections of sources (n_batch, n_sources) and sensors (n_batch, n_sensors)."""


class Bias(Correction):
    """Two numbers: how much further, or less far, all sources and all sensors go."""

    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Parameter(torch.zeros(()))
        self.sensor = nn.Parameter(torch.zeros(()))

    def forward(self, clues: Clues) -> tuple[Tensor, Tensor]:
        """Return the two numbers, spread over sources and sensors."""
        return (
            bounded(self.source).expand(clues.sources.shape[:2]),
            bounded(self.sensor).expand(clues.sensors.shape[:2]),
        )


class Pointwise(Correction):
    """A small network that looks at one source, or one sensor, at a time."""

    def __init__(self, settings: CorrectionSettings, generator: torch.Generator) -> None:
        super().__init__()
        hidden, more = settings.hidden, settings.more_clues
        self.source = _head(SOURCE_CLUES + more, hidden, generator)
        self.sensor = _head(SENSOR_CLUES + more, hidden, generator)

    def forward(self, clues: Clues) -> tuple[Tensor, Tensor]:
        """Return one number for every source and every sensor."""
        return (
            bounded(in_pieces(self.source, clues.sources)[:, :, 0]),
            bounded(self.sensor(clues.sensors)[:, :, 0]),
        )


class Attention(Correction):
    """A small network that also looks at the sources it is most easily confused with.

    Every source asks its ``n_near`` neighbours in the space of columns; the similarity of the
    columns enters the attention as a learned multiple. The cost grows as the number of sources.
    """

    def __init__(self, settings: CorrectionSettings, generator: torch.Generator) -> None:
        super().__init__()
        hidden, more = settings.hidden, settings.more_clues
        self.embed = Dense(SOURCE_CLUES + more, hidden, generator)
        self.query = Dense(hidden, hidden, generator)
        self.key = Dense(hidden, hidden, generator)
        self.content = Dense(hidden, hidden, generator)
        self.nearness = nn.Parameter(torch.zeros(()))
        self.source = nn.Sequential(
            Dense(2 * hidden, hidden, generator), nn.SiLU(), Dense(hidden, 1)
        )
        self.sensor = _head(SENSOR_CLUES + more, hidden, generator)

    def forward(self, clues: Clues) -> tuple[Tensor, Tensor]:
        """Return one number for every source and every sensor."""
        near, similarity = clues.near, clues.similarity
        if near is None or similarity is None:
            raise TypeError("attention needs the neighbours of every source")
        own = F.silu(self.embed(clues.sources))
        query, key, content = self.query(own), self.key(own), self.content(own)
        at = near.expand(len(own), -1, -1)
        closeness = (self.nearness * similarity.to(own.dtype)).expand_as(at)
        shape = own.shape[:2]
        places = at + shape[1] * torch.arange(shape[0], device=at.device)[:, None, None]
        whole = torch.is_grad_enabled() or own.device.type != "cpu"
        count = places[..., 0].numel() if whole else FEWER_ROWS
        rows = [r.flatten(0, 1).split(count) for r in (own, query, places, closeness)]
        flat_key, flat_content = key.flatten(0, 1), content.flatten(0, 1)
        pieces = [
            self._seen(mine, asking, there, close, flat_key, flat_content)
            for mine, asking, there, close in zip(*rows, strict=True)
        ]
        raw = torch.cat(pieces)
        return (
            bounded(raw.unflatten(0, shape)),
            bounded(self.sensor(clues.sensors)[:, :, 0]),
        )

    def _seen(
        self,
        own: Tensor,
        query: Tensor,
        places: Tensor,
        closeness: Tensor,
        key: Tensor,
        content: Tensor,
    ) -> Tensor:
        """Correction of some sources from what they see, before the bound, shape (n,)."""
        keys = F.embedding(places, key)
        scores = torch.einsum("nh,nkh->nk", query, keys) / key.shape[1] ** 0.5
        weights = torch.softmax(scores + closeness, dim=1)
        # A bag of rows with weights: what the neighbours say is never laid out row by row.
        seen = F.embedding_bag(places, content, per_sample_weights=weights, mode="sum")
        return self.source(torch.cat([own, seen], 1))[:, 0]


class Corrections(nn.Module):
    """The corrections of all layers; it grows by :meth:`append`, one layer at a time.

    Parameters
    ----------
    settings : CorrectionSettings
    seed : int
        Of the weights that do not start at zero.
    grown : int or None
        Layers that exist; None is all of them.
    """

    def __init__(
        self, settings: CorrectionSettings, seed: int = 0, grown: int | None = None
    ) -> None:
        super().__init__()
        self.settings, self.seed = settings, seed
        self.stages = nn.ModuleList()
        for _ in range(self.capacity if grown is None else min(grown, self.capacity)):
            self.append()

    @property
    def capacity(self) -> int:
        """Sets of weights when fully grown."""
        return 1 if self.settings.shared else self.settings.layers

    def append(self) -> None:
        """Add a layer that corrects nothing yet."""
        if len(self.stages) >= self.capacity:
            raise MajorantError(f"all {self.capacity} layers exist already; nothing is appended")
        generator = torch.Generator().manual_seed(1000 * self.seed + len(self.stages))
        self.stages.append(_stage(self.settings, generator))

    def stage(self, layer: int) -> Correction | None:
        """Return the correction of a layer, counted from 0; None where the layer is classical.

        Shared weights serve every layer, also beyond the trained number. Weights of their own end
        with the layers that exist: later layers are plain convex bounding.
        """
        index = 0 if self.settings.shared else layer
        if index >= len(self.stages):
            return None
        chosen = self.stages[index]
        assert isinstance(chosen, Correction)
        return chosen

    def progress(self, layer: int) -> float:
        """Position of a layer as a clue: ``k / K``, at most 1."""
        return min((layer + 1) / self.settings.layers, 1.0)

    @property
    def needs_neighbours(self) -> int:
        """How many neighbours a source looks at; 0 where it looks at none."""
        return self.settings.neighbours if self.settings.kind == "attention" else 0

    @property
    def needs_factors(self) -> bool:
        """Whether sources and sensors are shown what few factors leave of the data."""
        return self.settings.more_clues > 0

    @property
    def depth(self) -> int:
        """Layers that are run: those that exist, or all where one set of weights serves them."""
        return self.settings.layers if self.settings.shared else len(self.stages)

    def save(self, path: str | os.PathLike[str], card: Mapping[str, Any]) -> Path:
        """Write weights, settings and how they came to be to one file, atomically.

        Parameters
        ----------
        path : path
        card : mapping
            Anything JSON can hold.
        """
        info = {"settings": asdict(self.settings), "card": dict(card)}
        return write_archive(path, self.state_dict(), info, kind=KIND, version=VERSION)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> tuple[Corrections, dict[str, Any]]:
        """Read what :meth:`save` wrote: the corrections and their card.

        Raises
        ------
        MajorantError
            If there is no such file.
        DamagedFile
            If it is truncated, altered, or of another kind or version.
        """
        try:
            tensors, info = read_archive(path, kind=KIND, version=VERSION)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise MajorantError(f"there are no weights at {path}; check the path") from error
        try:
            # Older files say nothing of factors, and their networks do not look at them.
            settings = CorrectionSettings(**{"factors": False, **info["settings"]})
            grown = len({name.split(".")[1] for name in tensors})
            made = cls(settings, grown=grown)
            made.load_state_dict(tensors)
            return made, dict(info["card"])
        except (
            KeyError,
            IndexError,
            TypeError,
            OverflowError,
            RuntimeError,
            MajorantError,
        ) as error:
            raise DamagedFile(
                f"{path} cannot be used: it does not hold corrections ({error})."
            ) from error

    @property
    def n_parameters(self) -> int:
        """Trained numbers."""
        return sum(p.numel() for p in self.parameters())


class Dense(nn.Module):
    """An affine map whose start is drawn from a generator, or zero without one.

    Parameters
    ----------
    n_in, n_out : int
    generator : torch.Generator or None
        Draws weights uniform on ``+-1 / sqrt(n_in)``; None sets weights and bias to zero.
    """

    def __init__(self, n_in: int, n_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        weight = torch.zeros(n_out, n_in)
        if generator is not None:
            weight = (2.0 * torch.rand(n_out, n_in, generator=generator) - 1.0) / n_in**0.5
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_in) to (..., n_out)."""
        return F.linear(x, self.weight, self.bias)


def in_pieces(head: nn.Module, x: Tensor) -> Tensor:
    """Apply a network to the rows of ``x`` (..., n_in), some at a time where no gradient is asked.

    What lies between its layers then stays in the processor's cache.
    """
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return head(x)
    pieces = [head(rows) for rows in x.flatten(0, -2).split(ROWS)]
    return torch.cat(pieces).unflatten(0, x.shape[:-1])


def bounded(raw: Tensor) -> Tensor:
    """``3 tanh(raw)``: corrections stay below a factor of 20 in a layer."""
    return LIMIT * torch.tanh(raw)


def _head(n_in: int, hidden: int, generator: torch.Generator) -> nn.Sequential:
    """Two hidden layers with SiLU and an output that starts at zero."""
    return nn.Sequential(
        Dense(n_in, hidden, generator),
        nn.SiLU(),
        Dense(hidden, hidden, generator),
        nn.SiLU(),
        Dense(hidden, 1),
    )


def _stage(settings: CorrectionSettings, generator: torch.Generator) -> Correction:
    if settings.kind == "bias":
        return Bias()
    if settings.kind == "mlp":
        return Pointwise(settings, generator)
    return Attention(settings, generator)
