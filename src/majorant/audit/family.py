"""The caps that a named cap is compared with: those that people own, where there are some.

About half, twice and four times as many electrodes: the 10-20 and 10-10 systems go up from 19 to 32
and 64, BioSemi's and EGI's nets along their own sizes. Electrodes that two caps share are one row.
Where nobody sells a cap of such a size, places of the 10-05 system are added as for any montage.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from majorant.audit.cap import MOST, SAME, Cap, Rung, extended, placed_apart
from majorant.audit.caps import CAPS
from majorant.forward.electrodes import align, montage_electrodes
from majorant.forward.shells import ShellHead

__all__ = ["family", "with_family"]

SYSTEM = ("10-20-19", "10-10-32", "10-10-64")
LEAST, NEAR = 16, (0.75, 1.5)
"""Electrodes of the smallest cap that stands beside another; how far a size may be from what is
wanted."""


def family(name: str) -> tuple[str, ...]:
    """Names of the caps that a cap is compared with, by their number of electrodes."""
    maker = name.partition("-")[0]
    own = [known for known in CAPS if known.startswith(f"{maker}-")]
    return tuple(own) if maker in ("biosemi", "hydrocel") else SYSTEM


def with_family(cap: Cap, name: str, head: ShellHead) -> Cap:
    """Return a named cap with those beside it that people own; any other cap as it is.

    Parameters
    ----------
    cap : Cap
    name : str
        What the montage was called; see :data:`majorant.audit.caps.CAPS`.
    head : ShellHead
        The template.
    """
    name = name.casefold()
    if name not in CAPS or cap.n != cap.n_offered:
        return cap
    # What was added without asking for names is left out again.
    cap = replace(cap, ch_names=cap.ch_names[: cap.n], positions=cap.positions[: cap.n])
    own = {}
    for other in family(name):
        if other != name:
            spec = CAPS[other]
            found = align(montage_electrodes(spec.montage, spec.channels or None), head)
            own[other] = placed_apart(list(found.ch_names), found.positions)
    wanted = [n for n in (cap.n // 2, 2 * cap.n, 4 * cap.n) if LEAST <= n <= MOST]
    taken: dict[int, str] = {}
    for n in wanted:
        near = {k: len(v[0]) for k, v in own.items() if NEAR[0] <= len(v[0]) / n <= NEAR[1]}
        near = {k: size for k, size in near.items() if size != cap.n and k not in taken.values()}
        if near:
            taken[n] = min(near, key=lambda k: abs(np.log(near[k] / n)))
    larger = [n for n in wanted if n > cap.n and n not in taken]
    if larger and len(cap.ch_names) < max(larger):
        cap = extended(cap, head, max(larger))
    rungs = []
    for n in wanted:
        if n in taken:
            cap, rows = _joined(cap, *own[taken[n]], taken[n])
            rungs.append(Rung(len(rows), taken[n], tuple(rows)))
        elif n <= len(cap.ch_names):
            rungs.append(Rung(n, "", tuple(cap.rows(n))))
    return replace(cap, ladder=tuple(sorted(rungs, key=lambda rung: rung.n)))


def _joined(cap: Cap, names: list[str], places: np.ndarray, title: str) -> tuple[Cap, list[int]]:
    """The cap with another's electrodes behind its own, and which rows the other has."""
    names_all, positions, rows = list(cap.ch_names), cap.positions, []
    for name, place in zip(names, places, strict=True):
        apart = np.linalg.norm(positions - place, axis=1)
        if apart.min() <= SAME:
            rows.append(int(apart.argmin()))
            continue
        rows.append(len(names_all))
        names_all.append(name if name not in names_all else f"{name} of {title}")
        positions = np.vstack([positions, place])
    return replace(cap, ch_names=tuple(names_all), positions=positions), rows
