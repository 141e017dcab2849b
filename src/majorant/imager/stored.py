"""A fitted imager in one file: safetensors with a JSON record and a sha256 over both.

What is stored is what an estimate needs: settings, the oriented lead field and its prior, the
whitening, the channels and the source space. Nothing in the file is ever executed or unpickled, and
everything is checked on the way in (`majorant.files.archive`). An `mne.Forward` is not stored:
the imager that comes back has none, and images the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from majorant.files.archive import read_archive, write_archive
from majorant.forward.leadfield import Leadfield
from majorant.head.model import SourceModel, as_tensor
from majorant.head.spaces import SourceSpace
from majorant.imager.estimate import check_pick
from majorant.imager.inverse import Inverse
from majorant.imager.settings import ImagerSettings
from majorant.problem import DamagedFile, MajorantError

__all__ = ["Stored", "load_imager", "save_imager"]

KIND, VERSION = "imager", 1
TYPES = ("eeg", "mag", "grad")
LARGEST = 1e30
"""Of a number in a prior or a whitener; its square must not overflow."""
FASTEST = 1e6
"""Hz."""
LEAD = ("gain", "positions", "normals", "edges", "hemisphere", "vertices")


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file holds of a fitted imager.

    Attributes
    ----------
    settings : mapping
        Its arguments, those of the solver among them.
    inverse : Inverse
    info : mne.Info
        Channels in use.
    noise_cov : mne.Covariance
        Of a single trial.
    notes : tuple of str
        What was found and done while fitting.
    """

    settings: Mapping[str, Any]
    inverse: Inverse
    info: Any
    noise_cov: Any
    notes: tuple[str, ...]


def save_imager(stored: Stored, path: str | os.PathLike[str]) -> Path:
    """Write a fitted imager, atomically.

    Raises
    ------
    MajorantError
        If it is not fitted, an option is no plain value, or the folder cannot be written.
    """
    inverse, info, settings = stored.inverse, stored.info, dict(stored.settings)
    try:
        json.dumps(settings)
    except TypeError as error:
        raise MajorantError(
            f"an imager with such options cannot be stored ({error}); give plain numbers and words"
        ) from error
    lead, space = inverse.model.leadfield, inverse.model.space
    tensors = {
        **{f"lead.{name}": getattr(lead, name) for name in LEAD},
        "prior": as_tensor(inverse.model.prior),
        "axes": as_tensor(inverse.model.axes),
        "whitener": as_tensor(inverse.whitener),
        "noise_cov": as_tensor(np.atleast_1d(stored.noise_cov.data)),
        "locations": as_tensor(np.stack([channel["loc"] for channel in info["chs"]])),
        **{
            f"vertices.{k}": torch.from_numpy(np.ascontiguousarray(part))
            for k, part in enumerate(space.vertices)
        },
    }
    for name, extra in (("lead.parcels", lead.parcels), ("data_moment", inverse.data_moment)):
        if extra is not None:
            tensors[name] = extra
    if space.index is not None:
        tensors["index"] = torch.from_numpy(np.ascontiguousarray(space.index))
    record = {
        "settings": settings,
        "ch_names": list(inverse.ch_names),
        "ch_types": info.get_channel_types(),
        "coil_types": [int(channel["coil_type"]) for channel in info["chs"]],
        "sfreq": float(info["sfreq"]),
        "lead": {"n_orient": lead.n_orient, "kind": lead.kind, "subject": lead.subject},
        "loose": inverse.model.loose,
        "space": {"kind": space.kind, "subject": space.subject, "parts": len(space.vertices)},
        "notes": list(stored.notes),
    }
    try:
        return write_archive(path, tensors, record, kind=KIND, version=VERSION)
    except OSError as error:
        raise MajorantError(
            f"the imager cannot be written to {path}: {error.strerror or error}; choose another "
            "place"
        ) from error


def load_imager(
    path: str | os.PathLike[str], make: Callable[[Mapping[str, Any]], ImagerSettings]
) -> Stored:
    """Read an imager.

    Parameters
    ----------
    path : path
    make : callable
        Checks the arguments of an imager and gives its settings.

    Raises
    ------
    MajorantError
        If there is no such file.
    DamagedFile
        If it is truncated, altered, of another kind, or its parts do not fit together.
    """
    try:
        tensors, record = read_archive(path, kind=KIND, version=VERSION)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise MajorantError(f"there is no imager file at {path}; check the path") from error
    try:
        return _rebuilt(tensors, record, make)
    except (
        KeyError,
        TypeError,
        OverflowError,
        ValueError,
        IndexError,
        AttributeError,
        MajorantError,
    ) as error:
        raise DamagedFile(
            f"{path} cannot be used: it does not hold a fitted imager ({error}); make it again"
        ) from error


def _rebuilt(
    tensors: dict[str, Tensor],
    record: dict[str, Any],
    make: Callable[[Mapping[str, Any]], ImagerSettings],
) -> Stored:
    """Put the parts together; whatever does not fit raises."""
    import mne

    settings = make(record["settings"])
    names: list[str] = list(record["ch_names"])
    kinds: Any = list(record["ch_types"])
    if not set(kinds) <= set(TYPES) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"channels of kinds {sorted(set(kinds))}")
    lead = Leadfield.from_arrays(
        **{name: tensors[f"lead.{name}"] for name in LEAD},
        ch_names=names,
        parcels=tensors.get("lead.parcels"),
        **record["lead"],
    )
    whitener, cov = tensors["whitener"].numpy(), tensors["noise_cov"].numpy()
    model = SourceModel(
        None,
        lead,
        tensors["prior"].numpy(),
        float(record["loose"]),
        tensors["axes"].numpy(),
        _space(tensors, record["space"]),
    )
    _check(model, whitener, tensors, len(names))
    if not 0 < float(record["sfreq"]) <= FASTEST:
        raise ValueError(f"a sampling rate of {record['sfreq']} Hz")
    info = mne.create_info(names, float(record["sfreq"]), kinds, verbose="error")
    for channel, place in zip(info["chs"], tensors["locations"].numpy(), strict=True):
        channel["loc"][:] = place
    # MNE keeps the grade of compensation there; files of 0.1 say none.
    for channel, coil in zip(info["chs"], record.get("coil_types", ()), strict=False):
        channel["coil_type"] = int(coil)
    check_pick(model, settings.pick_ori)
    moment = tensors.get("data_moment")
    inverse = Inverse(
        settings.spec, settings.options, settings.snr, model, whitener, tuple(names), moment
    )
    inverse.require()
    notes = tuple(str(note) for note in record["notes"])
    return Stored(record["settings"], inverse, info, mne.Covariance(cov, names, [], [], 0), notes)


def _space(tensors: dict[str, Tensor], record: dict[str, Any]) -> SourceSpace:
    parts = [tensors[f"vertices.{k}"].numpy() for k in range(int(record["parts"]))]
    if any(part.ndim != 1 or (np.diff(part) <= 0).any() or (part < 0).any() for part in parts):
        raise ValueError("vertices that do not rise")
    index = tensors.get("index")
    subject = None if record["subject"] is None else str(record["subject"])
    return SourceSpace(
        record["kind"], tuple(parts), subject, None if index is None else index.numpy()
    )


def _check(model: SourceModel, whitener: Any, tensors: dict[str, Tensor], n_channels: int) -> None:
    """Refuse parts whose shapes do not fit or whose values are not finite."""
    lead, space = model.leadfield, model.space
    n_vertices = sum(map(len, space.vertices))
    shapes = {
        "prior": (lead.n_columns,),
        "axes": (lead.n_locations, lead.n_orient, 3),
        "whitener": (len(whitener), n_channels),
        "locations": (n_channels, 12),
    }
    moment = tensors.get("data_moment")
    if moment is not None:
        shapes["data_moment"] = (len(whitener), len(whitener))
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{name} of shape {tuple(tensors[name].shape)}, not {shape}")
        if name != "locations" and not bool(torch.isfinite(tensors[name]).all()):
            raise ValueError(f"{name} with values that are not finite")
    if not 0 <= model.loose <= 1:
        raise ValueError(f"a loose of {model.loose}")
    prior, noise = tensors["prior"], tensors["noise_cov"]
    if not bool((prior >= 0).all()) or not bool((prior > 0).any()) or float(prior.max()) > LARGEST:
        raise ValueError("a source prior that is negative, zero or without bounds")
    if not bool(torch.isfinite(noise).all()) or float(tensors["whitener"].abs().max()) > LARGEST:
        raise ValueError("a noise covariance that is none")
    if not 0 < len(whitener) <= n_channels:
        raise ValueError(f"a whitener of rank {len(whitener)} for {n_channels} channels")
    if space.index is None:
        fits = n_vertices == lead.n_locations
    else:
        inside = (space.index >= 0) & (space.index < lead.n_locations)
        fits = len(space.index) == n_vertices and bool(inside.all())
    if not fits:
        raise ValueError(f"{n_vertices} vertices for {lead.n_locations} locations")
