"""``rng=`` beside ``seed=``, as SPEC 7 of Scientific Python asks: one helper for every door.

Inside the package randomness is a seed: a sample is a function of its number. A generator that
somebody holds is asked for one number, which is the seed, and moves on by that.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from majorant.errors import MajorantError

__all__ = ["RNG", "seed_of", "takes_rng"]

if TYPE_CHECKING:
    import numpy as np
    import torch

    RNG: TypeAlias = (
        int
        | Sequence[int]
        | np.random.Generator
        | np.random.BitGenerator
        | np.random.SeedSequence
        | torch.Generator
    )
else:  # Neither is loaded for an annotation.
    RNG = Any
"""What ``rng`` may be."""

MOST = 2**31
"""Seeds drawn are smaller: NumPy's older generators, which MNE uses, take no more than 32 bits."""

Door = TypeVar("Door", bound=Callable[..., Any])


def seed_of(rng: RNG) -> int:
    """Return a seed: a whole number itself, of a generator the next number that it draws.

    Parameters
    ----------
    rng : int, numpy.random.Generator or torch.Generator
        Or anything else that `numpy.random.default_rng` takes, but None and older generators.

    Raises
    ------
    MajorantError
        If it is none of these.
    """
    import numpy as np

    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        if rng < 0:
            raise MajorantError(f"rng is {rng}; give a whole number from 0")
        return int(rng)
    known = (np.random.Generator, np.random.BitGenerator, np.random.SeedSequence)
    whole = isinstance(rng, Sequence) and all(isinstance(word, (int, np.integer)) for word in rng)
    if isinstance(rng, known) or (whole and not isinstance(rng, (str, bytes))):
        return int(np.random.default_rng(rng).integers(MOST))  # type: ignore[arg-type]
    import torch

    if isinstance(rng, torch.Generator):
        return int(torch.randint(MOST, (1,), generator=rng, device=rng.device).item())
    raise MajorantError(
        f"rng is a {type(rng).__name__}; give a whole number, a numpy.random.Generator or a "
        "torch.Generator"
    )


def takes_rng(door: Door) -> Door:
    """Let a function, or a class, that takes ``seed`` take ``rng`` in its place.

    Both at once are refused by a :class:`MajorantError`; without either it is called as it is. The
    keyword appears in the signature at run time.

    Parameters
    ----------
    door : callable
        With a parameter ``seed``.
    """
    if isinstance(door, type):
        door.__init__ = takes_rng(door.__init__)  # type: ignore[misc]
        return door  # type: ignore[return-value]
    signature = inspect.signature(door)
    assert "seed" in signature.parameters

    @functools.wraps(door)
    def taking(*args: Any, rng: RNG | None = None, **given: Any) -> Any:
        if rng is not None:
            if "seed" in signature.bind_partial(*args, **given).arguments:
                raise MajorantError("seed and rng were both given; give one of them")
            given["seed"] = seed_of(rng)
        return door(*args, **given)

    own = inspect.Parameter("rng", inspect.Parameter.KEYWORD_ONLY, default=None)
    rest = list(signature.parameters.values())
    at = len(rest) - (bool(rest) and rest[-1].kind is inspect.Parameter.VAR_KEYWORD)
    taking.__signature__ = signature.replace(parameters=[*rest[:at], own, *rest[at:]])  # type: ignore[attr-defined]
    return taking  # type: ignore[return-value]
