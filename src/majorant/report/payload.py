"""What the interactive page knows: maps over regions and time as compact JSON.

Arrays travel as base64 of little-endian integers with a scale, exact to 1/32,767 of their largest
value. The JSON is ASCII without `<`, `>` or `&`, so that no name within it can end the element that
holds it or be taken for markup.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.findings.facts import Findings, Peak, SourceMaps, Uncertainty
from majorant.findings.moments import meaning
from majorant.forward.cortex import MNI305_TO_MNI152, lobe, mni305_to_mni152
from majorant.forward.surfaces import Surfaces
from majorant.forward.template import template_shells
from majorant.report.cells import Cells
from majorant.report.colour import COLD, DIVERGING, DOUBT, WARM
from majorant.report.headline import place, source_scale
from majorant.report.sensors import reach, sensor_positions
from majorant.report.topography import coefficients, kernel, trusted
from majorant.words import calm, clock

__all__ = ["Explored", "Sensors", "explorer_data", "safe_json", "samples", "surface_data"]

MOST_SAMPLES = 420
"""Samples that the page holds; longer estimates are thinned out, their peaks kept."""
KERNEL = 8192
"""Entries of the table of the spline's kernel, enough for errors below a thousandth."""


@dataclass(frozen=True, eq=False)
class Sensors:
    """What an explorer shows of the sensors.

    Attributes
    ----------
    info : mne.Info
        Names and places.
    data, predicted : array, shape (n_channels, n_times)
        Recorded and explained potentials, V.
    """

    info: Any
    data: NDArray[np.float64]
    predicted: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Explored:
    """What an explorer shows: of one estimate, or of a group.

    Attributes
    ----------
    times : array, shape (n_times,)
        s.
    sources : SourceMaps
    means : str
        What a value of the map is the value of.
    peaks : tuple of Peak
        The strongest first.
    doubts : tuple of str
        For each peak why it may be no source, as the end of a sentence, or ""; may be empty.
    notes : tuple of str
        For each peak what else is said of it; may be empty.
    truth : tuple of Peak
        Simulated sources.
    leading : int or None
        Index of the peak that is shown first.
    limit : float or None
        Value of the strongest colour; None takes the largest.
    uncertainty : Uncertainty or None
    sensors : Sensors or None
        None where there are none to show.
    """

    times: NDArray[np.float64]
    sources: SourceMaps
    means: str
    peaks: tuple[Peak, ...] = ()
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    truth: tuple[Peak, ...] = ()
    leading: int | None = None
    limit: float | None = None
    uncertainty: Uncertainty | None = None
    sensors: Sensors | None = None

    @classmethod
    def of(cls, content: Findings) -> Explored:
        """Take from the findings of one estimate what its explorer shows."""
        return cls(
            times=content.times,
            sources=content.sources,
            means=meaning(content.sources.unit, content.sources.parcels is not None),
            peaks=content.peaks,
            doubts=content.doubts,
            truth=content.truth,
            leading=content.leading,
            limit=content.limit,
            uncertainty=content.uncertainty,
            sensors=Sensors(content.info, content.data, content.predicted),
        )


def safe_json(value: Any) -> str:
    """Return JSON that can stand in a `script` element, whatever its strings hold."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(values: NDArray[Any], kind: str = "i16") -> dict[str, Any]:
    """Return an array as base64: ``i16`` with a scale, or as it is (``f32``, ``u16``, ``u8``)."""
    if kind != "i16":
        raw = np.ascontiguousarray(values, dtype={"f32": "<f4", "u16": "<u2", "u8": "u1"}[kind])
        return {"type": kind, "base64": b64encode(raw.tobytes()).decode("ascii")}
    largest = float(np.abs(values).max(initial=0.0))
    scale = largest / 32767 or 1.0
    raw = np.rint(values / scale).astype("<i2")
    return {"type": kind, "base64": b64encode(raw.tobytes()).decode("ascii"), "scale": scale}


def samples(content: Explored, most: int = MOST_SAMPLES) -> NDArray[np.int64]:
    """Return the samples that the page holds: evenly spread, and all peaks."""
    n = len(content.times)
    if n <= most:
        return np.arange(n)
    even = np.linspace(0, n - 1, most).round().astype(np.int64)
    at_peaks = np.array([np.abs(content.times - p.time).argmin() for p in content.peaks], np.int64)
    for sample in at_peaks:
        even[np.abs(even - sample).argmin()] = sample
    return np.unique(np.concatenate([even, at_peaks]))


def surface_data(surfaces: Surfaces) -> dict[str, Any]:
    """Return what all explorers of a page share: the cortex, and outlines of the head.

    Both hemispheres have one topology. Scalp and inner skull are in MNI152 millimetres; ``affine``
    takes the cortex there.
    """
    n = surfaces.pial.shape[1]
    shells, shell_faces, scalp, scalp_faces = template_shells()
    outlines = {"scalp": (scalp, scalp_faces), "skull": (shells[0], shell_faces)}
    fold = 1 / (1 + np.exp(-surfaces.sulc / 0.12))
    return {
        "n": n,
        "pial": packed(surfaces.pial.ravel()),
        "inflated": packed(surfaces.inflated.ravel()),
        "faces": packed(surfaces.faces[0].ravel(), "u16"),
        "folds": packed(np.rint(255 * (0.82 - 0.26 * fold)).ravel(), "u8"),
        "affine": MNI305_TO_MNI152[:3],
        "outlines": [
            {
                "name": name,
                "vertices": packed(mni305_to_mni152(vertices).ravel()),
                "faces": packed(faces.ravel(), "u16"),
            }
            for name, (vertices, faces) in outlines.items()
        ],
    }


def explorer_data(
    content: Explored, cells: Cells, surfaces: Surfaces, most: int = MOST_SAMPLES
) -> dict[str, Any]:
    """Return one estimate as plain values.

    Parameters
    ----------
    content : Explored
    cells : Cells
        The regions.
    surfaces : Surfaces
    most : int
        Samples that are held, beside the peaks.
    """
    kept, maps = samples(content, most), content.sources
    times = content.times[kept]
    values = maps.values[cells.location][:, kept]
    largest = content.limit or float(np.abs(values).max(initial=0.0))
    unit, clk = source_scale(maps, largest), clock(content.times)
    peaks = [
        {
            "rank": rank,
            "time": float(times[_sample(times, peak.time)]),
            "sample": _sample(times, peak.time),
            "region": cells.of(maps, peak.location),
            **_seen(surfaces, *_vertex(content, peak.location)),
            "place": calm(place(peak)),
            "doubt": calm(content.doubts[rank - 1]) if content.doubts else "",
            "note": calm(content.notes[rank - 1]) if content.notes else "",
        }
        for rank, peak in enumerate(content.peaks, 1)
    ]
    return {
        "times": [round(float(t), 6) for t in times],
        "clock": {"factor": clk.factor, "label": clk.label, "axis": clk.axis},
        "unit": {"factor": unit.factor, "label": unit.label, "axis": unit.axis},
        "means": content.means,
        "atlas": calm(maps.atlas),
        "signed": maps.signed,
        "limit": content.limit,
        "regions": [_region(content, int(location)) for location in cells.location],
        "cells": packed(np.where(cells.vertex < 0, 65535, cells.vertex).ravel(), "u16"),
        "values": packed(values.ravel()),
        "peaks": peaks,
        "truth": [{"vertex": _near(surfaces, source)} for source in content.truth],
        "field": None if content.sensors is None else _field(content.sensors, kept),
        "head": None if content.sensors is None else _head(content.sensors, kept),
        "ramps": {
            "warm": WARM.stops,
            "cold": COLD.stops,
            "doubt": DOUBT.stops,
            "diverging": [code for _, code in DIVERGING.stops],
        },
        "start": _start(content, peaks, values, surfaces, cells),
        **_doubt(content, cells, kept),
    }


def _doubt(content: Explored, cells: Cells, kept: NDArray[np.int64]) -> dict[str, Any]:
    """Return the deviations of the regions, and what they are called."""
    doubt = content.uncertainty
    if doubt is None:
        return {"deviation": None, "stands": None}
    deviation = doubt.deviation[cells.location]
    if deviation.shape[1] > 1:
        deviation = deviation[:, kept]
    unit = source_scale(content.sources, float(np.abs(content.sources.values).max(initial=0.0)))
    return {
        "deviation": packed(deviation.ravel()),
        "deviationName": calm(doubt.name),
        "deviationAxis": calm(
            f"{doubt.name[:1].upper()}{doubt.name[1:]} ({unit.label.strip('()')})"
        ),
        "ratioUnit": {"factor": 1.0, "label": "", "axis": calm(f"Estimate over its {doubt.name}")},
        "stands": doubt.stands,
    }


def _start(
    content: Explored,
    peaks: list[dict[str, Any]],
    values: NDArray[np.float64],
    surfaces: Surfaces,
    cells: Cells,
) -> Mapping[str, Any]:
    """Return what is shown first: the strongest peak, or the largest value."""
    if peaks:
        return {key: peaks[content.leading or 0][key] for key in ("sample", "region", "view")}
    region, sample = np.unravel_index(np.abs(values).argmax(), values.shape)
    where = _vertex(content, int(cells.location[region]))
    return {
        "sample": int(sample),
        "region": int(region),
        "view": _seen(surfaces, *where)["view"],
    }


def _sample(times: NDArray[np.float64], time: float) -> int:
    return int(np.abs(times - time).argmin())


def _vertex(content: Explored, location: int) -> tuple[int, int]:
    return int(content.sources.hemisphere[location]), int(content.sources.vertices[location])


def _region(content: Explored, location: int) -> dict[str, Any]:
    """Return place and MNI coordinates of the location that stands for a region."""
    mni, side = content.sources.positions_mni[location], content.sources.hemisphere[location]
    xyz = (float(mni[0]), float(mni[1]), float(mni[2]))
    names = content.sources.names
    name = "" if names is None else names[location]
    here = Peak(
        0.0, ("left", "right")[int(side)], "" if name else lobe(mni), xyz, location, 0.0, 0.0,
        name=name,
    )  # fmt: skip
    return {"place": calm(place(here)), "mni": [round(v, 1) for v in xyz]}


def _near(surfaces: Surfaces, source: Peak) -> int:
    """Return the vertex nearest a simulated source, numbered over both hemispheres."""
    side = 1 if source.hemisphere == "right" else 0
    away = np.linalg.norm(mni305_to_mni152(surfaces.pial[side]) - np.array(source.mni), axis=1)
    return side * surfaces.pial.shape[1] + int(away.argmin())


def _seen(surfaces: Surfaces, side: int, vertex: int) -> dict[str, Any]:
    """Return a vertex, numbered over both hemispheres, and the standard view that shows it best."""
    inflated = surfaces.inflated_normals[side, vertex]
    outward = float(inflated[0]) * (1 if side else -1)
    name = ("left", "right")[side]
    if abs(outward) > 0.35:
        view = f"{name}-{'outer' if outward > 0 else 'inner'}"
    elif abs(inflated[2]) > 0.5:
        view = "above" if inflated[2] > 0 else "below"
    else:
        view = "front" if inflated[1] > 0 else "behind"
    return {"vertex": side * surfaces.pial.shape[1] + vertex, "view": view}


def _field(sensors: Sensors, kept: NDArray[np.int64]) -> dict[str, list[float]]:
    """Return the root mean square over channels, µV, recorded and unexplained."""
    parts = {"recorded": sensors.data, "unexplained": sensors.data - sensors.predicted}
    return {
        name: [float(f"{1e6 * v:.4g}") for v in np.sqrt(np.mean(part[:, kept] ** 2, axis=0))]
        for name, part in parts.items()
    }


def _head(sensors: Sensors, kept: NDArray[np.int64]) -> dict[str, Any] | None:
    """Return what maps over the head need; None where electrodes have no places."""
    xy = sensor_positions(sensors.info)
    if xy is None:
        return None
    recorded, explained = sensors.data[:, kept], sensors.predicted[:, kept]
    return {
        "xy": packed(xy.ravel(), "f32"),
        "reach": reach(xy),
        "trusted": trusted(xy),
        "kernel": packed(kernel(np.linspace(-1, 1, KERNEL)), "f32"),
        "coefficients": packed(coefficients(xy).ravel(), "f32"),
        "recorded": packed(recorded.ravel()),
        "explained": packed(explained.ravel()),
        "limit": float(np.abs(recorded).max(initial=0.0)) or 1.0,
    }
