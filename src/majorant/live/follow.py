"""Follow a stream to its end: estimate, measure, and get over what happens to streams.

Stalls, new connections, gaps, other rates and broken samples are each said in one line and counted;
none of them ends the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from majorant.account import silent
from majorant.live.chunks import Chunk, Chunks
from majorant.live.conditioner import Band, Conditioner
from majorant.live.engine import LiveEngine
from majorant.live.latency import Latency

__all__ = ["Following", "Sink", "Toll", "follow"]

Say = Callable[[str], None]

AHEAD = 1e-3
"""By how much clocks may differ, s."""


class Sink(Protocol):
    """Takes time courses as they come."""

    def write(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Take samples: times (n,) in s, values (n_regions, n)."""
        ...


@dataclass(frozen=True)
class Following:
    """When something is worth saying, and when it is over.

    Attributes
    ----------
    band : tuple of (float or None)
        Edges of the causal filter, Hz.
    stall : float
        Silence that is said, s.
    patience : float
        Silence after which the run ends, s.
    gap : float
        Missing time from which samples no longer count as following each other, s.
    drift : float
        Deviation of the measured rate, as a share, that counts as another rate.
    over : float
        Time over which the rate is measured, s.
    duration : float
        The run ends after so many seconds of samples.
    """

    band: Band = (1.0, 40.0)
    stall: float = 1.0
    patience: float = 60.0
    gap: float = 0.1
    drift: float = 0.05
    over: float = 4.0
    duration: float = float("inf")


@dataclass
class Toll:
    """What a run came to.

    Attributes
    ----------
    samples, estimates : int
        That came, and that an estimate was made of.
    stalls, connections, gaps, rates, broken : int
        Silences, new connections, gaps, changes of rate, samples with NaN.
    ahead : int
        Estimates that were there before the time at which their sample claims to have been taken:
        where there are many, the sender's times are not to be trusted, nor is the latency.
    latency : Latency
        From when a sample was taken to when its estimate was handed on.
    work : Latency
        Of that, from when its chunk arrived.
    """

    samples: int = 0
    estimates: int = 0
    stalls: int = 0
    connections: int = 0
    gaps: int = 0
    rates: int = 0
    broken: int = 0
    ahead: int = 0
    latency: Latency = field(default_factory=Latency)
    work: Latency = field(default_factory=Latency)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        counts = (
            "samples",
            "estimates",
            "stalls",
            "connections",
            "gaps",
            "rates",
            "broken",
            "ahead",
        )
        own: dict[str, Any] = {name: getattr(self, name) for name in counts}
        return {**own, "latency": self.latency.to_dict(), "work": self.work.to_dict()}


def follow(
    chunks: Chunks,
    engine: LiveEngine,
    sink: Sink,
    clock: Callable[[], float],
    settings: Following | None = None,
    say: Say = silent,
    look: Callable[[NDArray[np.float64]], None] | None = None,
) -> Toll:
    """Estimate until the stream, the time or the user ends it.

    Parameters
    ----------
    chunks : iterator of Chunk or None
    engine : LiveEngine
    sink : Sink
    clock : callable
        The time now, s; the same clock as that of the chunks' times.
    settings : Following, optional
    say : callable
        Called with a line for everything that happens to the stream.
    look : callable, optional
        Called once with the first second of data (n_channels, n), V; raises where they cannot be
        what they are said to be.

    Returns
    -------
    Toll
        Also where the keyboard ended the run.
    """
    run = _Run(engine, sink, clock, settings or Following(), say, look)
    try:
        for chunk in chunks:
            going = run.wait() if chunk is None else run.take(chunk)
            if not going:
                break
    except KeyboardInterrupt:
        say("Stopped by the keyboard.")
    return run.toll


class _Run:
    """The state of a run."""

    def __init__(
        self,
        engine: LiveEngine,
        sink: Sink,
        clock: Callable[[], float],
        settings: Following,
        say: Say,
        look: Callable[[NDArray[np.float64]], None] | None,
    ) -> None:
        self.engine, self.sink, self.clock, self.say = engine, sink, clock, say
        self.settings, self.toll, self._look = settings, Toll(), look
        self._filter: Conditioner | None = None
        self._seen: list[NDArray[np.float64]] = []
        self._heard = clock()
        self._stalled = False
        self._declared = self._sfreq = 0.0
        self._session: int | None = None
        self._last: float | None = None
        self._counted, self._since = 0, 0.0
        self._seconds = 0.0

    def wait(self) -> bool:
        """Nothing has come; whether to go on."""
        silence = self.clock() - self._heard
        if silence > self.settings.stall and not self._stalled:
            self._stalled = True
            self.toll.stalls += 1
            self.say(f"No samples for {silence:.1f} s; waiting.")
        if silence > self.settings.patience:
            self.say(f"No samples for {silence:.0f} s; stopped.")
            return False
        return True

    def take(self, chunk: Chunk) -> bool:
        """Estimate what has come; whether to go on."""
        arrived = self.clock() if chunk.arrived is None else chunk.arrived
        if not chunk.data.shape[1]:
            return self.wait()
        self._notice(chunk, arrived)
        data, times = self._whole(chunk)
        self.toll.samples += chunk.data.shape[1]
        self._seconds += chunk.data.shape[1] / self._sfreq
        self._inspect(data)
        assert self._filter is not None
        found = self.engine.push(self._filter(data)) if data.shape[1] else data[:0]
        if found.shape[1]:
            fresh = times[-found.shape[1] :]
            self.sink.write(fresh, found)
            done = self.clock()
            self.toll.estimates += len(fresh)
            self.toll.latency.add(done - fresh)
            self.toll.ahead += int((fresh > done + AHEAD).sum())
            self.toll.work.add(done - arrived)
        self._heard = self.clock()
        return self._seconds < self.settings.duration

    def _notice(self, chunk: Chunk, arrived: float) -> None:
        """See whether these samples follow the last ones, at the same rate."""
        said: list[str] = []
        again, silence = self._session is not None, arrived - self._heard
        anew = again and self._session != chunk.session
        after = 0.0 if self._last is None else float(chunk.times[0]) - self._last
        missing = after - 1.0 / self._sfreq if again and not anew else 0.0
        gap = missing > max(self.settings.gap, 2.0 / max(self._sfreq, 1.0))
        if anew:
            self.toll.connections += 1
            said.append(f"connected again after {silence:.1f} s")
        elif self._stalled:
            said.append(f"samples again after {silence:.1f} s")
        if gap:
            self.toll.gaps += 1
            said.append(f"{missing:.2f} s of samples are missing")
        if chunk.sfreq != self._declared:
            if again:
                self.toll.rates += 1
                said.append(f"the rate is now {chunk.sfreq:g} Hz, it was {self._sfreq:g}")
            self._declared = chunk.sfreq
            said += self._retune(chunk.sfreq, first=not again)
        elif anew or gap:
            self._restart()
        if said:
            self._tell(said)
        self._stalled, self._session, self._heard = False, chunk.session, arrived
        self._measure(chunk)
        self._last = float(chunk.times[-1])

    def _measure(self, chunk: Chunk) -> None:
        """Compare the rate of the time stamps with the one believed in."""
        if not self._counted:
            self._since = float(chunk.times[-1])
            self._counted = 1
            return
        self._counted += chunk.data.shape[1]
        span = float(chunk.times[-1]) - self._since
        if span < self.settings.over:
            return
        rate = (self._counted - 1) / span
        if abs(rate / self._sfreq - 1) > self.settings.drift:
            self.toll.rates += 1
            said = f"samples come at {rate:.4g} Hz, not at {self._sfreq:g} as declared"
            self._tell([said, *self._retune(rate)])
        self._counted = 0

    def _retune(self, sfreq: float, *, first: bool = False) -> list[str]:
        """Go on at another rate; returns what has to be said about it."""
        self._sfreq, self._counted = sfreq, 0
        self._filter = Conditioner(self.settings.band, sfreq)
        if not first:
            self.engine.retune(sfreq)
        lost = set(self.settings.band) - set(self._filter.band) - {None}
        edges = " and ".join(f"{edge:g}" for edge in sorted(edge for edge in lost if edge))
        return [f"at {sfreq:.4g} Hz the filter does without {edges} Hz"] if lost else []

    def _tell(self, said: list[str]) -> None:
        """Say what happened in one line."""
        line = "; ".join(said)
        self.say(f"{line[0].upper()}{line[1:]}.")

    def _restart(self) -> None:
        """What comes does not follow what came."""
        assert self._filter is not None
        self._filter.reset()
        self.engine.reset()
        self._counted = 0

    def _whole(self, chunk: Chunk) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Leave samples out that hold NaN; what follows them begins anew."""
        fine = np.isfinite(chunk.data).all(axis=0)
        if fine.all():
            return chunk.data, chunk.times
        if not self.toll.broken:
            self.say("Some samples hold NaN or infinite values; they are left out.")
        self.toll.broken += int((~fine).sum())
        self._restart()
        return chunk.data[:, fine], chunk.times[fine]

    def _inspect(self, data: NDArray[np.float64]) -> None:
        """Look at the first second, once it is there."""
        if self._look is None:
            return
        self._seen.append(data)
        if sum(part.shape[1] for part in self._seen) >= self._sfreq:
            self._look(np.concatenate(self._seen, axis=1))
            self._look, self._seen = None, []
