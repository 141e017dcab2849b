"""Streams of the lab streaming layer (LSL), read and written with MNE-LSL.

Kothe et al. (2025), The lab streaming layer for synchronized multimodal recording,
doi:10.1162/IMAG.a.136. Times are those of the sender, carried over to this machine's clock by LSL.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.errors import MajorantError, nearest
from majorant.live.chunks import Chunk, Chunks

__all__ = ["Outlet", "Source", "clock", "connect"]

TICK = 0.1
"""Seconds of silence after which the follower is told."""
LOOK_EVERY, LOOK_FOR = 1.0, 0.3
"""While a stream is silent: how often another of its name is looked for, and how long, s."""
MOST = 4096
"""Samples taken at once."""


def _lsl() -> Any:
    try:
        import mne_lsl.lsl
    except ModuleNotFoundError as error:
        raise MajorantError(
            "live streams need MNE-LSL, which is not installed: pip install 'majorant[live]'"
        ) from error
    except (OSError, RuntimeError) as error:
        raise MajorantError(
            f"MNE-LSL cannot load its library ({' '.join(str(error).split())[:120]}); install "
            "liblsl for this machine"
        ) from error
    return mne_lsl.lsl


def clock() -> float:
    """The time by LSL's clock on this machine, s."""
    return float(_lsl().local_clock())


@dataclass(eq=False)
class Source:
    """A connection to a stream that finds it again.

    Attributes
    ----------
    name : str
    info : mne.Info
        Of all channels, V.
    scale : array, shape (n_channels,)
        From the stream's numbers to V.
    sfreq : float
        Hz, as declared.
    hop : float
        Samples are gathered for so long, s: there is no second look sooner.
    inlet : mne_lsl.lsl.StreamInlet
    uid : str
        Of the stream that is connected; its successors have others.
    session : int
        Goes up with every new connection.
    fixed_scale : float or None
        What the user says of the scale, whatever the stream says.
    """

    name: str
    info: Any
    scale: NDArray[np.float64]
    sfreq: float
    hop: float
    inlet: Any
    uid: str
    session: int = 0
    fixed_scale: float | None = None
    _looked: float = field(default=0.0, init=False, repr=False)

    def chunks(self, names: list[str]) -> Chunks:
        """Yield samples of some channels as they come, and None in silence."""
        rows = self._rows(names)
        silent, looked = time.monotonic(), time.monotonic()
        while True:
            try:
                data, stamps, arrived = self._pull()
            except RuntimeError:
                # The stream is gone; MNE-LSL keeps the class of that error to itself.
                data, stamps, arrived = np.zeros((0, 0)), np.zeros(0), 0.0
                time.sleep(TICK)
            now = time.monotonic()
            if len(stamps):
                silent = now
                scaled = data[:, rows].T.astype(np.float64) * self.scale[rows, None]
                yield Chunk(scaled, stamps, self.sfreq, self.session, arrived)
                continue
            if now - silent > LOOK_EVERY and now - looked > LOOK_EVERY:
                looked = now
                if self._again():
                    rows = self._rows(names)
            yield None

    def _pull(self) -> tuple[NDArray[Any], NDArray[np.float64], float]:
        """Wait for a sample; then take all that come within a hop of the last look.

        Where the estimates of the last chunk took longer than a hop, samples have been gathering
        all the while, and nothing is waited for.
        """
        first, stamp = self.inlet.pull_sample(timeout=TICK)
        arrived = clock()
        if stamp is None or not len(first):
            return np.zeros((0, 0)), np.zeros(0), arrived
        # What is pulled lies in a buffer that the next pull fills anew.
        data, times = [np.array(first)[None]], [np.array([stamp])]
        time.sleep(max(0.0, self._looked + self.hop - time.monotonic()))
        more, stamps = self.inlet.pull_chunk(timeout=0.0, max_samples=MOST)
        self._looked = time.monotonic()
        data.append(np.array(more))
        times.append(np.array(stamps))
        return np.concatenate(data), np.concatenate(times), arrived

    def _rows(self, names: list[str]) -> list[int]:
        have = list(self.info["ch_names"])
        missing = [name for name in names if name not in have]
        if missing:
            raise MajorantError(
                f"the stream {self.name!r} has come back without {', '.join(missing[:8])}; start "
                "anew with the channels that it has"
            )
        return [have.index(name) for name in names]

    def _again(self) -> bool:
        """Look for another stream of the same name, and take it."""
        found = _lsl().resolve_streams(timeout=LOOK_FOR, name=self.name, minimum=1)
        # The silent stream may still answer; one that is younger is the one that goes on.
        others = [sinfo for sinfo in found if sinfo.uid != self.uid and sinfo.sfreq > 0]
        if not others:
            return False
        try:
            opened = _open(
                max(others, key=lambda sinfo: sinfo.created_at), self.hop, self.fixed_scale
            )
        except MajorantError:
            # It went away again before it was reached; there will be another look.
            return False
        self.inlet.close_stream()
        self.inlet, self.uid, self.info = opened.inlet, opened.uid, opened.info
        self.scale, self.sfreq = opened.scale, opened.sfreq
        self.session += 1
        return True

    def close(self) -> None:
        """Let go of the stream."""
        self.inlet.close_stream()


def connect(
    name: str | None, *, patience: float = 10.0, hop: float = 0.01, scale: float | None = None
) -> Source:
    """Connect to a stream.

    Parameters
    ----------
    name : str or None
        None takes the only one of type EEG.
    patience : float
        How long to look for it, s.
    hop : float
        See :class:`Source`.
    scale : float or None
        From the stream's numbers to V; None takes the stream's word.

    Raises
    ------
    MajorantError
        If there is none, there are several, or it has no fixed rate.
    """
    lsl = _lsl()
    asked = {"stype": "EEG"} if name is None else {"name": name}
    found = lsl.resolve_streams(timeout=patience, minimum=1, **asked)
    if name is None and not found:
        found = lsl.resolve_streams(timeout=LOOK_FOR, stype="eeg")
    if not found:
        others = sorted({sinfo.name for sinfo in lsl.resolve_streams(timeout=1.0)})
        what = "of type EEG" if name is None else f"named {name!r}{nearest(name, others)}"
        there = f"there are {', '.join(others)}" if others else "no stream is running"
        raise MajorantError(f"no LSL stream {what} was found in {patience:g} s; {there}")
    names = sorted({sinfo.name for sinfo in found})
    if len(names) > 1:
        raise MajorantError(f"there are several EEG streams, {', '.join(names)}; name one")
    sinfo = max(found, key=lambda sinfo: sinfo.created_at)
    if not sinfo.sfreq > 0:
        raise MajorantError(
            f"the stream {sinfo.name!r} has no fixed sampling rate, so it is no EEG; name another"
        )
    return _open(sinfo, hop, scale)


def _open(sinfo: Any, hop: float, fixed_scale: float | None) -> Source:
    """Open a stream from its newest sample on."""
    import mne

    lsl = _lsl()
    inlet = lsl.StreamInlet(sinfo, max_buffered=10, recover=False, processing_flags=["clocksync"])
    try:
        inlet.open_stream(timeout=10.0)
        about = inlet.get_sinfo(timeout=10.0)
        with mne.utils.use_log_level("error"):
            info = about.get_channel_info()
    except (TimeoutError, RuntimeError, ValueError) as error:
        raise MajorantError(
            f"the stream {sinfo.name!r} was found but does not open ("
            f"{' '.join(str(error).split())[:120]}); check the network and its firewall"
        ) from error
    inlet.time_correction(timeout=5.0)
    inlet.flush()
    scale = np.array([10.0 ** int(channel["unit_mul"]) for channel in info["chs"]])
    if fixed_scale is not None:
        scale[:] = fixed_scale
    return Source(
        sinfo.name, info, scale, float(sinfo.sfreq), hop, inlet, sinfo.uid, fixed_scale=fixed_scale
    )


class Outlet:
    """Publishes time courses as a stream of its own, with the times of their samples.

    Parameters
    ----------
    name : str
    regions : tuple of str
    unit : str
    """

    def __init__(self, name: str, regions: tuple[str, ...], unit: str) -> None:
        lsl = _lsl()
        # No declared rate: that of the source may change, and every sample has its time.
        sinfo = lsl.StreamInfo(name, "sources", len(regions), 0.0, "float32", f"majorant-{name}")
        sinfo.set_channel_names(list(regions))
        sinfo.set_channel_types(["misc"] * len(regions))
        sinfo.set_channel_units([unit] * len(regions))
        self._outlet = lsl.StreamOutlet(sinfo)

    def write(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Publish samples."""
        self._outlet.push_chunk(np.ascontiguousarray(values.T, np.float32), np.array(times))

    def close(self) -> None:
        """Nothing to finish: the stream ends with the program."""
