"""The mixture of everyday data, and the families that solvers are compared on by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from majorant.problem import MajorantError

Shape = Literal["vertex", "ball", "grown", "region-ball", "region-grown"]
Space = Literal["regions", "ico4", "ico5"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
MOST_SOURCES = 6


@dataclass(frozen=True)
class EverydaySettings:
    """What samples are drawn from.

    Attributes
    ----------
    shapes : tuple of str
        Kinds of source, equally likely: a single ``"vertex"``; a geodesic ``"ball"`` or a patch
        ``"grown"`` at random, on the fine mesh, over the borders of regions and gyri; whole regions
        within some steps of one (``"region-ball"``), or grown over as many (``"region-grown"``).
    width_mm : tuple of float
        Smallest and largest width of balls and grown patches along the cortex; log-uniform between.
    hops : tuple of int
        Steps of regions that are drawn from.
    n_sources : tuple of int
        Numbers of sources, equally likely.
    apart_mm : float
        Distance below which no two seeds lie, where that can be had.
    mirrored : float
        Share of samples of two sources and more in which the second mirrors the first.
    correlated : float
        Share of samples of two sources and more whose courses correlate (by .5 to 1).
    weakest : float
        Strength of the weakest source relative to the strongest.
    moments : bool
        Whether the strength of a source is its total moment, whatever its width; else its moment
        per location, so that wide sources are the stronger ones.
    snr_db : tuple of float
        Range of ``20 log10 |signal| / |noise|`` of the whitened data.
    n_times : tuple of int
        Samples of a window; a session has one of them.
    sfreq : tuple of float
        Sampling rates, Hz; a session has one of them.
    rest : float
        Largest power of resting cortex at the sensors relative to that of their own noise.
    uneven : float
        Deviation of the logarithm of the sensors' own noise variances.
    baseline : tuple of int
        Fewest and most stretches of 64 samples that the noise covariance is estimated from;
        log-uniform between.
    """

    shapes: tuple[Shape, ...] = ("vertex", "ball", "ball", "grown", "grown")
    width_mm: tuple[float, float] = (5.0, 40.0)
    hops: tuple[int, ...] = (0, 1, 2)
    n_sources: tuple[int, ...] = (1, 1, 2, 2, 3, 4, 5, 6)
    apart_mm: float = 15.0
    mirrored: float = 0.15
    correlated: float = 0.4
    weakest: float = 0.4
    moments: bool = True
    snr_db: tuple[float, float] = (-5.0, 20.0)
    n_times: tuple[int, ...] = (50,)
    sfreq: tuple[float, ...] = (100.0, 128.0, 200.0)
    rest: float = 3.0
    uneven: float = 0.3
    baseline: tuple[int, int] = (1, 60)

    def __post_init__(self) -> None:
        unknown = set(self.shapes) - set(SHAPES)
        if unknown or not self.shapes:
            raise MajorantError(
                f"sources of shape {self.shapes} were asked for; choose from {', '.join(SHAPES)}"
            )
        if self.on_regions != any(shape.startswith("region") for shape in self.shapes):
            raise MajorantError(
                f"sources of shape {self.shapes} mix whole regions with patches of vertices; make "
                "a stream of each"
            )
        if not self.n_sources or not 1 <= min(self.n_sources) <= max(self.n_sources) <= 6:
            raise MajorantError(
                f"{self.n_sources} sources were asked for; give numbers from 1 to {MOST_SOURCES}"
            )
        if not 0 < self.width_mm[0] <= self.width_mm[1] <= 40.0:
            raise MajorantError(
                f"widths of {self.width_mm} mm were asked for; give (smallest, largest), at most 40"
            )
        if self.snr_db[0] > self.snr_db[1] or not 1 <= self.baseline[0] <= self.baseline[1]:
            raise MajorantError(
                f"snr_db is {self.snr_db} and baseline {self.baseline}; expected increasing ranges,"
                " and at least one stretch of baseline"
            )
        if min(self.n_times, default=0) < 1 or not min(self.sfreq, default=0.0) > 0:
            raise MajorantError(
                f"n_times is {self.n_times} and sfreq {self.sfreq}; give at least one sample and "
                "positive rates"
            )

    @property
    def on_regions(self) -> bool:
        """Whether sources are made of whole regions."""
        return all(shape.startswith("region") for shape in self.shapes)


def _family(shape: Shape, hops: tuple[int, ...]) -> EverydaySettings:
    return EverydaySettings(
        shapes=(shape,),
        hops=hops,
        n_sources=(1, 2, 3),
        apart_mm=0.0,
        mirrored=0.0,
        correlated=0.0,
        moments=False,
        n_times=(75,),
        sfreq=(128.0,),
    )


FAMILIES: Mapping[str, EverydaySettings] = MappingProxyType(
    {
        "balls 1-3": _family("region-ball", (1, 2, 3)),
        "grown 1-3": _family("region-grown", (1, 2, 3)),
        "single regions": _family("region-ball", (0,)),
        "grown 4-5": _family("region-grown", (4, 5)),
    }
)
"""Whole regions, 1 to 3 sources, -5 to 20 dB, 75 samples: to be drawn on 64 electrodes of a head
that is not the one believed."""
