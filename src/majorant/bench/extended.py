"""Beyond the published table: what the guard, the limits and the length of MM-Net do, and how it
stands when the montage, the noise, the head or the number of sources is another.

    python -m benchmarks.extended 200                # the tables of docs/table1-extended.md
    python -m benchmarks.extended 200 docs/images    # and their rows and figure, in a folder

Every row is MM-Net with the packaged weights and one thing changed; the first is unchanged.
sLORETA stands beside it where the data are other ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from majorant import registry
from majorant.bench.methods import OPTIONS, Method, MethodOutcome, judging, measure
from majorant.bench.rows import Row
from majorant.bench.two_patches import TwoPatches, score_each
from majorant.forward.leadfield import Leadfield
from majorant.learned.limits import LIMITS
from majorant.learned.mmnet import MMNet
from majorant.majorants.guard import Guard
from majorant.metrics.localisation import Localisation, Scores
from majorant.randomness import takes_rng
from majorant.simulate.dataset import Batch, SereegaLike, SereegaSettings, SimulatedPairs
from majorant.solvers.base import Solver
from majorant.solvers.loop import solve
from majorant.weights.shipped import trained

FREE = Guard("off", window=1)
LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200)
LEVELS_DB = (-5.0, 0.0, 5.0, 10.0, 20.0)
WINDOWS = (1, 2, 5)
MONTAGES = ("biosemi32", "biosemi64", "biosemi128")
CLASSIC_19 = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "C3", "Cz", "C4"),
    *("T7", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
)
"""The electrodes of the 10-20 system, by their present names."""
SKULL = 0.0041
"""Conductivity of the other head's skull, S/m; the template has 0.006."""
MOVED_MM = 5.0

GUARDS, LIMITED, ITERATIONS, NOISE, CAPS, HEADS, PATCHES = (
    *("Guard", "Limits of the papers", "Iterations", "Noise", "Electrodes"),
    *("Another head than the solver believes", "Two patches"),
)
"""Sections of the table."""


@dataclass(frozen=True)
class Variation:
    """One row.

    Attributes
    ----------
    section : str
    name : str
        What is different; empty for nothing.
    data : SimulatedPairs
        What the data are made of.
    solver : Solver
    believed : SimulatedPairs or None
        Whose lead field the solver is given; None is the true one.
    value : float
        Of what the section varies, where it varies a number: iterations, dB or electrodes.
    """

    section: str
    name: str
    data: SimulatedPairs
    solver: Solver
    believed: SimulatedPairs | None = None
    value: float = float("nan")

    @property
    def learned(self) -> MMNet | None:
        """The solver where it is MM-Net, which alone works on windows here."""
        return None if self.solver.abilities.window is None else cast(MMNet, self.solver)

    @property
    def method(self) -> str:
        """Name of the row."""
        who = "mm-net" if self.learned else LINEAR
        return f"{who}, {self.name}" if self.name else who


LINEAR = "sloreta"
"""What stands beside MM-Net."""


@takes_rng
def extended(
    leadfield: Leadfield,
    n: int,
    seed: int = 333,
    *,
    solver: MMNet | None = None,
    device: str = "cpu",
    heads: bool = True,
    progress: Callable[[str, int], None] | None = None,
) -> list[Row]:
    """Score every variation on SEREEGA-type data.

    Parameters
    ----------
    leadfield : Leadfield
    n, seed : int
        Test samples and their seed.
    solver : MMNet, optional
        The packaged one by default.
    device : str
    heads : bool
        Whether to include other montages and heads, which are built with MNE, and two patches,
        which need the room of a whole cortex.
    progress : callable, optional
        Called with the row and the number of samples just done.
    """
    changes = variations(leadfield, n, seed, solver=solver, device=device, heads=heads)
    return [scored(change, progress) for change in changes]


def scored(change: Variation, progress: Callable[[str, int], None] | None = None) -> Row:
    """Score one variation."""
    return measure(
        change.method, "sereega", _method(change), change.data, _scoring(change), progress
    )


@takes_rng
def variations(
    leadfield: Leadfield,
    n: int,
    seed: int = 333,
    *,
    solver: MMNet | None = None,
    device: str = "cpu",
    heads: bool = True,
) -> Iterator[Variation]:
    """Yield the variations; parameters as of :func:`extended`."""
    data = SereegaLike(leadfield, n, seed, part="test", device=device)
    base = solver or trained("mm-net", sfreq=data.sfreq)
    linear = registry.make(LINEAR, **OPTIONS[LINEAR])

    yield Variation(GUARDS, "", data, base)
    yield Variation(GUARDS, "", data, linear)
    yield Variation(GUARDS, "guard off", data, base.changed(guard=FREE))
    for window in WINDOWS:
        guard = Guard(window=window)
        yield Variation(GUARDS, f"window {window}", data, base.changed(guard=guard))
    for limit in LIMITS:
        limited = base.changed(limit=limit, bound=None)
        yield Variation(LIMITED, f"limit {limit}", data, limited)
        free = limited.changed(guard=FREE)
        yield Variation(LIMITED, f"limit {limit}, no guard", data, free)
    for steps in LENGTHS:
        words = f"{steps} iteration{'s' * (steps > 1)}"
        longer = base.changed(max_iter=steps)
        yield Variation(ITERATIONS, words, data, longer, value=steps)
        free = longer.changed(guard=FREE)
        yield Variation(ITERATIONS, f"{words}, guard off", data, free, value=steps)
    for level in LEVELS_DB:
        noisy = SereegaSettings(snr_db=level)
        other = SereegaLike(leadfield, n, seed, part="test", settings=noisy, device=device)
        for one in (base, linear):
            yield Variation(NOISE, f"{level:g} dB", other, one, value=level)
    if not heads:
        return
    for section, name, other, value in _heads(data, leadfield, n, seed, device):
        believed = data if section == HEADS else None
        for one in (base, linear):
            yield Variation(section, name, other, one, believed, value)
    for at_once in (True, False):
        other = TwoPatches(leadfield, n, seed, at_once=at_once, device=device)
        words = "two patches at once" if at_once else "two patches, each in its time"
        for one in (base, linear):
            yield Variation(PATCHES, words, other, one)


def _heads(
    data: SereegaLike, leadfield: Leadfield, n: int, seed: int, device: str
) -> Iterator[tuple[str, str, SereegaLike, float]]:
    """Yield other montages, and heads that the solver does not know of."""
    from majorant.forward.template import template_leadfield

    def pairs(head: Leadfield) -> SereegaLike:
        return SereegaLike(head, n, seed, part="test", device=device)

    caps = {"10-20": leadfield.pick(list(CLASSIC_19))}
    caps |= {montage: template_leadfield(montage) for montage in MONTAGES}
    caps["10-05"] = leadfield
    for cap, head in sorted(caps.items(), key=lambda item: item[1].n_sensors):
        count = head.n_sensors
        yield CAPS, f"{count} electrodes ({cap})", data if head is leadfield else pairs(head), count
    names = list(leadfield.ch_names)
    other = template_leadfield("standard_90", ch_names=names, conductivity=(0.3, SKULL, 0.3))
    yield HEADS, f"skull {SKULL} S/m", pairs(_alike(other, leadfield)), float("nan")
    places, fiducials = _moved(names)
    other = template_leadfield(places, ch_names=names, fiducials=fiducials)
    words = f"electrodes moved by {MOVED_MM:g} mm"
    yield HEADS, words, pairs(_alike(other, leadfield)), float("nan")


def _alike(other: Leadfield, leadfield: Leadfield) -> Leadfield:
    """Keep the sources of ``leadfield`` and take the gain of ``other``."""
    return dataclasses.replace(leadfield, gain=other.pick(list(leadfield.ch_names)).gain)


def _moved(names: list[str]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Positions of named electrodes, each moved in a random direction, and the fiducials; m."""
    import mne

    held = mne.channels.make_standard_montage("standard_1020").get_positions()
    generator = torch.Generator().manual_seed(0)
    places = {}
    for name in names:
        step = torch.randn(3, generator=generator, dtype=torch.float64)
        place = torch.as_tensor(held["ch_pos"][name]) + 1e-3 * MOVED_MM * step / step.norm()
        places[name] = place.tolist()
    return places, {key: list(held[key]) for key in ("nasion", "lpa", "rpa")}


def _method(change: Variation) -> Method:
    """Make the method of a row; the solver sees the lead field that it believes in."""
    believed = change.data if change.believed is None else change.believed

    def run_solver(batch: Batch) -> MethodOutcome:
        solution = solve(believed.problem(batch), change.solver)
        kept = solution.certificate
        return MethodOutcome(solution.estimate, int(kept.violations.sum()), int(kept.refused.sum()))

    if change.learned is None:
        return Method(run_solver)
    count = sum(p.numel() for p in change.learned.network.parameters())
    return Method(run_solver, trained_on="sereega", parameters=count)


def _scoring(change: Variation) -> Callable[[Batch, Tensor], Scores]:
    if not isinstance(change.data, TwoPatches):
        return judging(change.data)
    judge = Localisation(change.data.leadfield, change.data.sfreq)
    return lambda batch, estimate: score_each(judge, batch, estimate)
