"""Who may use which truth: training, validation and test own different seeds, courses and clips.

Anything that can be numbered (a vertex, a region, the code of a course, a neural-mass clip) belongs
to one part alone, by a hash of its number: eight of ten to training, one to validation, one to the
test. What belongs together in space is thus spread over the whole cortex, and no number of one part
can be drawn by another.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from majorant.problem import MajorantError
from majorant.simulate import streams

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
TENTHS: dict[str, tuple[int, ...]] = {
    "train": (0, 1, 2, 3, 4, 5, 6, 7),
    "validation": (8,),
    "test": (9,),
}
"""Tenths of everything that a part owns."""
OWNERS = 2026
"""Seed of the hash that says who owns what."""


def check_part(part: str) -> Part:
    """Refuse a part that there is not."""
    for known in PARTS:
        if part == known:
            return known
    raise MajorantError(f"there is no part {part!r}; choose from {', '.join(PARTS)}")


def owned(part: Part, n: int, kind: int) -> Tensor:
    """Return which of `n` numbered things a part owns.

    Parameters
    ----------
    part : {"train", "validation", "test"}
    n : int
    kind : int
        What is numbered: things of different kinds are dealt out independently.

    Returns
    -------
    Tensor, shape (n,), bool
        Over the three parts every number is owned exactly once.
    """
    key = streams.keys(OWNERS, torch.arange(n), kind)
    tenth = streams.integers(key, 1, 10)[:, 0]
    masks = [torch.isin(tenth, torch.tensor(TENTHS[name])) for name in PARTS]
    if not bool((torch.stack(masks).sum(0) == 1).all()):
        raise MajorantError("a truth belongs to two parts; every one may belong to one alone")
    return masks[PARTS.index(part)]


def own_codes(part: Part, raw: Tensor) -> Tensor:
    """Turn numbers into codes that the part owns: a code's last digit says whose it is.

    Parameters
    ----------
    raw : Tensor, int64
        Not negative.
    """
    digits = torch.tensor(TENTHS[part], device=raw.device)
    return 10 * (raw // len(digits)) + digits[raw % len(digits)]


def owner_of_code(code: Tensor) -> Tensor:
    """Number of the part that owns every code, in the order of :data:`PARTS`."""
    last = code % 10
    return torch.where(last < 8, 0, torch.where(last == 8, 1, 2))
