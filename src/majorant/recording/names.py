"""Names of electrodes as recording systems dress them, and the 10-05 system's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

__all__ = ["builtin_montages", "matches", "standard_name", "standard_names"]


def builtin_montages() -> list[str]:
    """Names of the montages that MNE knows."""
    import mne

    return [str(name) for name in mne.channels.get_builtin_montages()]


def _plain(name: str) -> str:
    """A channel name without what recording systems put around it."""
    short = re.sub(r"^eeg[\s_:-]*", "", name.strip().casefold())
    return re.sub(r"[\s_-]+(ref|le|avg|ar|a1|a2)$", "", short).rstrip(".").strip()


def matches(names: Sequence[str], listed: Sequence[str]) -> dict[str, str]:
    """The montage's name of every channel that it lists, whatever its dress."""
    found: dict[str, str] = {}
    for simplify in (str, str.casefold, _plain):
        table = {simplify(theirs): theirs for theirs in reversed(listed)}
        taken = set(found.values())
        for ours in names:
            theirs = table.get(simplify(ours))
            if ours not in found and theirs is not None and theirs not in taken:
                found[ours] = theirs
                taken.add(theirs)
    return {name: found[name] for name in names if name in found}


@cache
def standard_names() -> tuple[str, ...]:
    """Names of the 10-05 system, and the older names of some of its places."""
    import mne

    return tuple(mne.channels.make_standard_montage(standard_name()).ch_names)


def standard_name() -> str:
    """The name of the best 10-05 montage in the MNE at hand: on fsaverage since 1.13."""
    known = builtin_montages()
    return next(n for n in ("fsaverage_1005", "colin27_1005", "standard_1005") if n in known)
