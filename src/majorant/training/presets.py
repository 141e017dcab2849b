"""Training recipes: what is trained, on what, how long. One place for every default.

``paper`` is the published protocol. ``cpu`` trains on two cores in about an hour; what was tried on
the way is in ``docs/training.md``. ``refine`` continues from the weights of such a run with new
samples and all iterations, and ``support`` from those, with a loss that counts the weak border of a
patch; ``finish`` and ``polish`` continue with more of that. ``table`` is ``cpu``, smaller: every
method of Table I at equal cost; ``scan`` continues from it at another start, which knows patches.
``general`` continues from weights on what people record: any cap,
several sources, any noise. ``tiny`` shows in three minutes that training works.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from majorant.errors import MajorantError, nearest
from majorant.learned.directions import doubled
from majorant.learned.families import family, method_of, settings_from
from majorant.learned.fourdvarnet import FourDVarSettings
from majorant.learned.meta_curvature import MetaCurvatureSettings
from majorant.learned.modgrad import ModGradSettings
from majorant.learned.network import UnrolledSettings
from majorant.learned.unrolled import MMNetSettings

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

GUARDED = ("off", "late", "on")
"""When the unrolled solver is guarded in training."""
LATER = (
    *("support", "guard", "guard_after", "guard_window", "lengths", "warm"),
    *("focus", "widen", "spectral", "checkpointing", "budget"),
)
"""Entries of a recipe that are written only where they differ from their default."""


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on; frozen in the run folder once it is set.

    Attributes
    ----------
    name : str
    network
        Settings of a method, see :data:`majorant.learned.families.FAMILIES`.
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
    data : {"sereega", "nmm", "general"}
        Kind of the simulations.
    crop : int or None
        Samples of the windows around the peaks of neural-mass waveforms; None takes whole clips.
    support : float
        Weight of the loss of compressed amplitudes, which counts weak borders.
    guard : {"off", "late", "on"}
        Whether the unrolled solver is guarded in training: never, in the last part, or always.
    guard_after : float
        Share of the steps after which a ``"late"`` guard acts.
    guard_window : int
        Iterations between two decisions of that guard.
    lengths : tuple of int or None
        Fewest and most iterations; every step draws how many it unrolls. None unrolls the
        network's own number, or ``short``.
    warm : int
        Most iterations that run first without a gradient; every step draws how many, so that it
        starts from an estimate of the network itself.
    focus : int
        Samples of the windows around the peak that early steps see, at the rate of the data; 0
        takes whole windows.
    widen : float
        Share of the steps after which windows are whole.
    spectral : float
        Largest spectral norm that a layer of the prior may have, by a certified bound; 0 leaves
        the layers free. Layers above are scaled down after every tenth step.
    checkpointing : bool
        Recompute every iteration in the backward pass: an eighth of the memory, a third more time.
    budget : float
        Wall-clock seconds that the number of steps was fitted to; 0 for none.
    """

    name: str
    network: Any = field(default_factory=MMNetSettings)
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
    data: Literal["sereega", "nmm", "general"] = "sereega"
    crop: int | None = None
    support: float = 0.0
    guard: Literal["off", "late", "on"] = "off"
    guard_after: float = 0.5
    guard_window: int = 2
    lengths: tuple[int, int] | None = None
    warm: int = 0
    focus: int = 0
    widen: float = 0.5
    spectral: float = 0.0
    checkpointing: bool = False
    budget: float = 0.0

    def __post_init__(self) -> None:
        if self.guard not in GUARDED or self.guard_window < 1:
            raise MajorantError(
                f"the guard in training is {self.guard!r} with a window of {self.guard_window}; "
                f"choose one of {', '.join(GUARDED)}, and a window of 1 or more"
            )
        if self.lengths is not None and not 1 <= self.lengths[0] <= self.lengths[1]:
            raise MajorantError(
                f"lengths are {self.lengths}; give the fewest and the most iterations, 1 or more"
            )
        if (
            min(self.n_train, self.epochs, self.batch) < 1
            or min(self.warm, self.focus, self.spectral) < 0
        ):
            raise MajorantError(
                f"a recipe of {self.n_train} samples, {self.epochs} epochs and batches of "
                f"{self.batch} (warm {self.warm}, focus {self.focus}) trains nothing; give "
                "positive numbers"
            )

    @property
    def method(self) -> str:
        """Name of the method that is trained."""
        return method_of(self.network)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch; the last batch may be smaller."""
        return -(-self.n_train // self.batch)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON.

        What names another method or other data than MM-Net on SEREEGA-type data, and what came
        later, is there only where it differs, so that older recipes stay what they are.
        """
        plain = dataclasses.asdict(self)
        if self.data == "sereega" and self.crop is None:
            del plain["data"], plain["crop"]
        for key in LATER:
            if getattr(self, key) == type(self).__dataclass_fields__[key].default:
                del plain[key]
        if not self.network.signed:
            del plain["network"]["signed"]
        if not isinstance(self.network, MMNetSettings):
            plain["method"] = self.method
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe from :meth:`to_dict`."""
        held = dict(values)
        held["network"] = settings_from(held.pop("method", "mm-net"), held["network"])
        if held.get("lengths") is not None:
            held["lengths"] = tuple(held["lengths"])
        return cls(**held)


CPU = Recipe(
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
)
REFINE = replace(
    CPU,
    name="refine",
    n_train=64_000,
    rate=1e-3,
    prior_rate=1e-3,
    warmup=100,
    short=0,
    lengthen=0.0,
    seed=1,
    data_seed=334,
)
SUPPORT = replace(
    REFINE,
    name="support",
    n_train=40_000,
    rate=7e-4,
    prior_rate=7e-4,
    validate_every=500,
    seed=2,
    data_seed=335,
    support=0.5,
)
FINISH = replace(
    SUPPORT,
    name="finish",
    n_train=80_000,
    average=0.999,
    validate_every=1000,
    n_validation=200,
    seed=3,
    data_seed=336,
    support=1.0,
)
POLISH = replace(FINISH, name="polish", n_train=120_000, seed=4, data_seed=337)
TINY = replace(
    CPU,
    name="tiny",
    n_train=8_000,
    rate=3e-3,
    prior_rate=3e-3,
    warmup=50,
    clip=1.0,
    lengthen=0.8,
    average=0.98,
    validate_every=250,
    log_every=20,
    save_every=100,
)
TABLE = replace(CPU, name="table", network=replace(FAST, prior_hidden=160), n_train=48_000)
TABLE_NMM = 32_000
"""Samples of ``table`` with neural-mass data, whose windows are twice as long."""
SCAN = replace(
    SUPPORT,
    name="scan",
    network=replace(TABLE.network, start="scan"),
    n_train=16_000,
    rate=3e-4,
    prior_rate=3e-4,
    warmup=50,
    validate_every=200,
    seed=6,
    data_seed=339,
    support=1.0,
)
GENERAL = replace(
    SUPPORT,
    name="general",
    network=doubled(replace(FAST, window=0.25)),
    n_train=57_600,
    warmup=200,
    short=4,
    lengthen=0.6,
    n_validation=200,
    seed=5,
    data_seed=338,
    data="general",
)
UNROLLED: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            *(Recipe("paper"), CPU, REFINE, SUPPORT, FINISH, POLISH),
            *(TABLE, SCAN, GENERAL, TINY),
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
    if name not in UNROLLED:
        raise MajorantError(
            f"there is no preset {name!r}{nearest(name, UNROLLED)}; choose one of "
            f"{', '.join(UNROLLED)}"
        )
    return UNROLLED[name]


CROP = 128
"""Samples of the windows that fast recipes train on with neural-mass data."""
WINDOW_MS = {"sereega": 125.0, "nmm": 1000.0, "general": 250.0}
"""Length of whole waveforms, ms."""


NMM_RATE = 500.0
"""Rate of neural-mass data, Hz: the published networks work at that of their data."""
SHARED = tuple(field.name for field in dataclasses.fields(UnrolledSettings))
"""Settings that every method has."""


def recipe_for(name: str, method: str = "mm-net", data: str = "sereega") -> Recipe:
    """Return the recipe of a preset for any method and kind of data.

    Sizes, samples and steps are those of the preset, so that methods are compared at equal cost.
    Beside the published protocol, the steps of the baselines are in units of the state.

    Parameters
    ----------
    name : str
        A name of :data:`UNROLLED`.
    method : str
        A name of :data:`majorant.learned.families.FAMILIES`.
    data : {"sereega", "nmm", "general"}

    Raises
    ------
    MajorantError
        If a name is unknown.
    """
    recipe, described = preset(name), family(method)
    if data not in WINDOW_MS:
        raise MajorantError(f"there are no data {data!r}; choose from {', '.join(WINDOW_MS)}")
    crop = CROP if data == "nmm" and name != "paper" else None
    n_train = TABLE_NMM if (name, data) == ("table", "nmm") else recipe.n_train
    recipe = replace(recipe, data=data, crop=crop, n_train=n_train)
    base, tuned = recipe.network, name != "paper"
    if data == "nmm" and not tuned:
        base = replace(base, rate=NMM_RATE)
    if described.settings is MMNetSettings:
        window = WINDOW_MS["general"] / 1000.0 if data == "general" else base.window
        base = replace(base, positive=method == "mm-net", window=window)
        return replace(recipe, network=base)
    shared = {key: getattr(base, key) for key in SHARED}
    if method == "4dvarnet":
        sizes = {key: getattr(base, key) for key in ("hidden", "outer", "inner")}
        pace = {"relative": True, "descent": 0.5} if tuned else {}
        return replace(recipe, network=FourDVarSettings(**shared, **sizes, **pace))
    pace = {"relative": True, "step": 0.25} if tuned else {}
    window = WINDOW_MS[data] if crop is None else 2.0 * crop
    shared["n_times"] = max(1, round(window / 1000.0 * base.rate))
    if method == "modgrad" and tuned:  # twice the rate comes apart after some hundred steps
        recipe = replace(recipe, rate=0.5 * recipe.rate, prior_rate=0.5 * recipe.prior_rate)
    made = MetaCurvatureSettings if method == "meta-curvature" else ModGradSettings
    return replace(recipe, network=made(**shared, **pace))
