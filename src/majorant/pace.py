"""How far a long job is, in words: lines for a pipe or a log, with an estimate of what is left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

__all__ = ["Pace", "spell"]

FIRST, LONGEST = 10.0, 60.0
"""Seconds until the first line, and between two lines at most: the wait doubles in between."""


def spell(seconds: float) -> str:
    """Return a duration as one says it: ``45 s``, ``7 min``, ``2.5 h``."""
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class Pace:
    """Says now and then how far a job is, and about how long it will take.

    Jobs that go on after a kill begin with parts that take no time, and parts differ in what they
    cost: the rate is taken from the last third of what was seen or from all of it, the slower one.
    A count that begins anew is another job under the same title; what is left is of that one.

    Parameters
    ----------
    title : str
        What is counted.
    say : callable
        Takes a line.
    clock : callable
        Reads seconds.
    """

    def __init__(
        self,
        title: str,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._say, self._clock = title, say, clock
        self._began = clock()
        self._next, self._wait = self._began + FIRST, FIRST
        self._seen: list[tuple[float, int]] = []

    def __call__(self, done: int, total: int) -> None:
        """Take note of what is done; says a line if it is time for one."""
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        if not self._seen or done > self._seen[-1][1]:
            self._seen.append((now, done))
        if now < self._next or total <= 0:
            return
        self._wait = min(2 * self._wait, LONGEST)
        self._next = now + self._wait
        line = f"{self._title}: {100 * done // total} %, {spell(now - self._began)} so far"
        left = self._left(now, done, total)
        self._say(line if left is None else f"{line}, about {spell(left)} to go")

    def _left(self, now: float, done: int, total: int) -> float | None:
        first, last = self._seen[0], self._seen[-1]
        if last[1] <= first[1]:
            return None
        since = now - (now - first[0]) / 3
        recent = next((mark for mark in self._seen if mark[0] >= since), last)
        paces = [
            (now - then) / (last[1] - count) for then, count in (first, recent) if last[1] > count
        ]
        return max(paces) * (total - done)
