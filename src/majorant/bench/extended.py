"""Beyond the published table: what the guard, the limits and the length of MM-Net do, and how it
stands when the montage, the noise or the head is another.

Every row is MM-Net with the packaged weights and one thing changed; the first is unchanged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from majorant.bench.rows import Row
from majorant.bench.table1 import Method, Outcome, measure
from majorant.forward.leadfield import Leadfield
from majorant.learned.limits import LIMITS
from majorant.learned.mmnet import MMNet
from majorant.majorants.guard import Guard
from majorant.metrics.localisation import Localisation
from majorant.simulate.dataset import Batch, SereegaLike, SereegaSettings, SimulatedPairs
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


@dataclass(frozen=True)
class Variation:
    """One row.

    Attributes
    ----------
    name : str
    data : SimulatedPairs
        What the data are made of.
    solver : MMNet
    believed : SimulatedPairs or None
        Whose lead field the solver is given; None is the true one.
    """

    name: str
    data: SimulatedPairs
    solver: MMNet
    believed: SimulatedPairs | None = None


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
        Whether to include other montages and heads, which are built with MNE; only for the
        template.
    progress : callable, optional
        Called with the row and the number of samples just done.
    """
    rows = []
    for change in variations(leadfield, n, seed, solver=solver, device=device, heads=heads):
        judge = Localisation(change.data.leadfield, change.data.sfreq)
        rows.append(measure(change.name, "sereega", _method(change), change.data, judge, progress))
    return rows


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

    yield Variation("mm-net", data, base)
    yield Variation("mm-net, guard off", data, base.changed(guard=FREE))
    for window in WINDOWS:
        guard = Guard(window=window)
        yield Variation(f"mm-net, window {window}", data, base.changed(guard=guard))
    for limit in LIMITS:
        limited = base.changed(limit=limit, bound=None)
        yield Variation(f"mm-net, limit {limit}", data, limited)
        free = limited.changed(guard=FREE)
        yield Variation(f"mm-net, limit {limit}, no guard", data, free)
    for steps in LENGTHS:
        longer = base.changed(max_iter=steps)
        yield Variation(f"mm-net, {steps} iterations", data, longer)
        free = longer.changed(guard=FREE)
        yield Variation(f"mm-net, {steps} iterations, guard off", data, free)
    for level in LEVELS_DB:
        noisy = SereegaSettings(snr_db=level)
        other = SereegaLike(leadfield, n, seed, part="test", settings=noisy, device=device)
        yield Variation(f"mm-net, {level:g} dB", other, base)
    if heads:
        yield from _heads(data, base, leadfield, n, seed, device)


def _heads(
    data: SereegaLike, base: MMNet, leadfield: Leadfield, n: int, seed: int, device: str
) -> Iterator[Variation]:
    """Other montages, and heads that the solver does not know of."""
    from majorant.forward.template import template_leadfield

    def pairs(head: Leadfield) -> SereegaLike:
        return SereegaLike(head, n, seed, part="test", device=device)

    yield Variation("mm-net, 19 electrodes", pairs(leadfield.pick(list(CLASSIC_19))), base)
    for montage in MONTAGES:
        head = template_leadfield(montage)
        yield Variation(f"mm-net, {montage}", pairs(head), base)
    names = list(leadfield.ch_names)
    other = template_leadfield("standard_90", ch_names=names, conductivity=(0.3, SKULL, 0.3))
    yield Variation(f"mm-net, skull {SKULL} S/m", pairs(_alike(other, leadfield)), base, data)
    places, fiducials = _moved(names)
    other = template_leadfield(places, ch_names=names, fiducials=fiducials)
    words = f"mm-net, electrodes moved by {MOVED_MM:g} mm"
    yield Variation(words, pairs(_alike(other, leadfield)), base, data)


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

    def run_solver(batch: Batch) -> Outcome:
        solution = solve(believed.problem(batch), change.solver)
        kept = solution.certificate
        return Outcome(solution.estimate, int(kept.violations.sum()), int(kept.refused.sum()))

    count = sum(p.numel() for p in change.solver.network.parameters())
    return Method(run_solver, trained_on="sereega", parameters=count)
