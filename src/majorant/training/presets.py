"""Training recipes: what is trained, on what, how long. One place for every default.

``paper`` is the published protocol. ``cpu`` trains the shipped weights on two cores in about an
hour; what was tried on the way is in ``docs/training.md``. ``tiny`` shows in three minutes that
training works.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from majorant.learned.unrolled import MMNetSettings
from majorant.problem import MajorantError

FAST = MMNetSettings(
    prior_hidden=256,
    prior_kernels=(1, 3, 1),
    outer=1,
    iterations=6,
    start="sloreta",
    rate=128.0,
)
"""Pointwise projections of the sources, a wider prior, convolutions in the hidden layers only, a
linear start, and 128 Hz."""


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on; frozen in the run folder once it is set.

    Attributes
    ----------
    name : str
    network : MMNetSettings
    n_train : int
        Training samples; noise is drawn anew in every epoch.
    epochs : int
    batch : int
    rate, prior_rate : float
        Adam's learning rates of the curvature network and of the prior.
    schedule : {"constant", "cosine"}
    warmup : int
        Steps over which the rate rises to its value.
    clip : float
        Largest norm of the gradient of all parameters.
    version : {1, 2}
        Which version of the outer loss, see :func:`majorant.training.bilevel.bilevel_loss`.
    deep : float
        Weight of the loss of earlier iterates.
    short : int
        Iterations unrolled early in training, which costs less; see ``lengthen``.
    lengthen : float
        Share of the steps after which the network's own number of iterations is unrolled.
    average : float
        Decay of the moving average of the parameters that is validated and kept; 0 keeps the
        parameters themselves.
    bfloat16 : bool
        Mixed precision.
    validate_every, n_validation, log_every, save_every : int
        In steps, and samples.
    seed : int
        Of data, start and order.
    data_seed : int
        Of the simulations.
    """

    name: str
    network: MMNetSettings = field(default_factory=MMNetSettings)
    n_train: int = 8_000
    epochs: int = 500
    batch: int = 32
    rate: float = 5e-5
    prior_rate: float = 2.5e-5
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    clip: float = 0.5
    version: Literal[1, 2] = 2
    deep: float = 0.0
    short: int = 0
    lengthen: float = 0.0
    average: float = 0.0
    bfloat16: bool = False
    validate_every: int = 250
    n_validation: int = 200
    log_every: int = 50
    save_every: int = 250
    seed: int = 0
    data_seed: int = 333

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch; the last batch may be smaller."""
        return -(-self.n_train // self.batch)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe from :meth:`to_dict`."""
        held = dict(values)
        kernels = tuple(held["network"]["prior_kernels"])
        held["network"] = MMNetSettings(**{**held["network"], "prior_kernels": kernels})
        return cls(**held)


PRESETS: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe("paper"),
            Recipe(
                "cpu",
                FAST,
                n_train=80_000,
                epochs=1,
                batch=16,
                rate=2e-3,
                prior_rate=2e-3,
                schedule="cosine",
                warmup=200,
                clip=0.5,
                deep=0.5,
                short=4,
                lengthen=0.6,
                average=0.998,
                bfloat16=True,
                n_validation=100,
                validate_every=1000,
            ),
            Recipe(
                "tiny",
                FAST,
                n_train=8_000,
                epochs=1,
                batch=16,
                rate=3e-3,
                prior_rate=3e-3,
                schedule="cosine",
                warmup=50,
                clip=1.0,
                deep=0.5,
                short=4,
                lengthen=0.8,
                average=0.98,
                bfloat16=True,
                n_validation=100,
                validate_every=250,
                log_every=20,
                save_every=100,
            ),
        )
    }
)


def preset(name: str) -> Recipe:
    """Look a recipe up by name.

    Raises
    ------
    MajorantError
        If there is none of that name; the sentence lists those that exist.
    """
    if name not in PRESETS:
        raise MajorantError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
