"""The offline template head: fsaverage, without a download.

`template_leadfield` gives the lead field of any montage on fsaverage, `template_surfaces` what is
needed to draw it. What takes seconds is built once and kept in the user's cache folder; MNE and
nilearn are needed for building, not for reading the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from majorant.files.cache import Cache, Content
from majorant.forward import electrodes as electrode_room
from majorant.forward import shells
from majorant.forward.cortex import build_parcels, is_connected
from majorant.forward.electrodes import Alignment
from majorant.forward.graph import contract_edges, mesh_edges
from majorant.forward.leadfield import Leadfield
from majorant.forward.mesh import coarser_faces, octahedron
from majorant.forward.shells import ShellHead
from majorant.forward.surfaces import Surfaces, read_surfaces
from majorant.problem import MajorantError

__all__ = [
    "CONDUCTIVITY",
    "SPACES",
    "aligned_leadfield",
    "build_small",
    "octahedral",
    "read_electrodes",
    "template_alignment",
    "template_head",
    "template_leadfield",
    "template_parcels",
    "template_shells",
    "template_surfaces",
]

CONDUCTIVITY = (0.3, 0.006, 0.3)
"""S/m: brain, skull, scalp."""

SPACES = ("regions", "ico5", "ico4", "ico3", "ico2", "oct6", "oct5", "oct4")
N_ICO = {"ico5": 10242, "ico4": 2562, "ico3": 642, "ico2": 162}
VERSION = 1

Electrodes = str | Mapping[str, Sequence[float] | np.ndarray]
Progress = Callable[[str], None] | None


def template_surfaces(progress: Progress = None) -> Surfaces:
    """Return the template's cortex: pial, white, inflated, sphere, faces, sulc, thickness.

    Parameters
    ----------
    progress : callable, optional
        Takes a line of text for every step that takes time.
    """
    return _surfaces(Cache(progress))


def template_shells(
    progress: Progress = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the surfaces of the template's head alone, without what is solved for them.

    Parameters
    ----------
    progress : callable, optional
        Takes a line of text for every step that takes time.

    Returns
    -------
    tuple of ndarray
        `shells`, `shell_faces`, `scalp` and `scalp_faces` of a `ShellHead`.
    """
    names = ("shells", "shell_faces", "scalp", "scalp_faces")
    store = Cache(progress)

    def build() -> Content:
        store.step("Reading the surfaces of the template's head")
        arrays = map(np.ascontiguousarray, shells.read_shells())
        return {k: torch.from_numpy(v) for k, v in zip(names, arrays, strict=True)}, {}

    tensors, _ = store.get("shells", VERSION, [_version("mne")], build)
    one, two, three, four = (tensors[name].numpy() for name in names)
    return one, two, three, four


def template_parcels() -> Tensor:
    """Return the 994 regions, shape (2, 10242), int64, -1 in the medial wall.

    They are those of the packaged lead field, so that no version of another library can change
    what a region is. They were made by `majorant.forward.cortex.build_parcels`.
    """
    parcels = _packaged().parcels
    assert parcels is not None
    return parcels


@cache
def _packaged() -> Leadfield:
    return Leadfield.template_small()


def template_head(
    conductivity: Sequence[float] = CONDUCTIVITY,
    progress: Progress = None,
    *,
    thickness: float = 1.0,
) -> ShellHead:
    """Return what the head has that does not depend on electrodes.

    Parameters
    ----------
    conductivity : sequence of float, length 3
        S/m: brain, skull, scalp.
    progress : callable, optional
        Takes a line of text for every step that takes time.
    thickness : float
        Of the skull, relative to the template's own.

    Raises
    ------
    MajorantError
        If a conductivity is not a positive number, or mne is not installed.
    """
    return _head(_checked_conductivity(conductivity), Cache(progress), thickness)


def template_leadfield(
    electrodes: Electrodes,
    *,
    space: str = "regions",
    fixed: bool = False,
    conductivity: Sequence[float] = CONDUCTIVITY,
    ch_names: Sequence[str] | None = None,
    fiducials: Mapping[str, Sequence[float] | np.ndarray] | None = None,
    thickness: float = 1.0,
    progress: Progress = None,
) -> Leadfield:
    """Return the lead field of electrodes on the template head.

    Parameters
    ----------
    electrodes : str or mapping of str to sequence of float
        A montage known to MNE, "standard_90", or digitised positions in metres by channel name.
    space : {"regions", "ico5", "ico4", "ico3", "ico2", "oct6", "oct5", "oct4"}
        Source space: 994 regions; 20,484, 5,124, 1,284 or 324 vertices of the icosahedral meshes;
        or about 8,196, 2,052 or 516 vertices nearest those of an octahedral mesh.
    fixed : bool
        Vertices: one column along the pial normal instead of three. Regions have one in any case.
    conductivity : sequence of float, length 3
        S/m: brain, skull, scalp.
    ch_names : sequence of str, optional
        Electrodes wanted of a named montage or of the mapping; all by default.
    fiducials : mapping, optional
        "lpa", "nasion" and "rpa" in the frame of the digitised positions. Without them the
        positions are taken to be in MNE's head frame.
    thickness : float
        Of the skull, relative to the template's own (`majorant.forward.ages`).
    progress : callable, optional
        Takes a line of text for every step that takes time.

    Returns
    -------
    Leadfield
        Potentials against infinity, V/(A m), of subject "fsaverage"; positions are MNI305 metres.
        Apply a reference (`average_reference`) to it and the data alike.

    Raises
    ------
    MajorantError
        If montage, channels, positions, space or conductivity make no sense.

    Notes
    -----
    Pial vertices that lie outside the inner skull, or less than 1 mm under it, are moved inwards
    (11 of 20,484, by at most 1.6 mm).
    """
    _check_space(space)
    store = Cache(progress)
    request = _request(electrodes, conductivity, ch_names, fiducials, thickness)
    tensors, info = _gain(request, store)
    return _leadfield(tensors, info, _surfaces(store), space, fixed)


def aligned_leadfield(
    electrodes: Electrodes,
    *,
    space: str = "regions",
    conductivity: Sequence[float] = CONDUCTIVITY,
    fiducials: Mapping[str, Sequence[float] | np.ndarray] | None = None,
    thickness: float = 1.0,
    progress: Progress = None,
) -> tuple[Leadfield, Alignment]:
    """Return what `template_leadfield` and `template_alignment` do, reading the cache once."""
    _check_space(space)
    store = Cache(progress)
    request = _request(electrodes, conductivity, None, fiducials, thickness)
    tensors, info = _gain(request, store)
    return _leadfield(tensors, info, _surfaces(store), space, False), _alignment(tensors, info)


def _check_space(space: str) -> None:
    if space not in SPACES:
        raise MajorantError(f"there is no source space {space!r}; choose {', '.join(SPACES)}")


def template_alignment(
    electrodes: Electrodes,
    *,
    conductivity: Sequence[float] = CONDUCTIVITY,
    ch_names: Sequence[str] | None = None,
    fiducials: Mapping[str, Sequence[float] | np.ndarray] | None = None,
    thickness: float = 1.0,
    progress: Progress = None,
) -> Alignment:
    """Return how the electrodes of `template_leadfield` came to lie on the scalp.

    It takes the same arguments, and is read from the same file of the cache.
    """
    store = Cache(progress)
    request = _request(electrodes, conductivity, ch_names, fiducials, thickness)
    return _alignment(*_gain(request, store))


def _alignment(tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> Alignment:
    return Alignment(
        name=info["montage"],
        ch_names=tuple(info["ch_names"]),
        positions=tensors["electrodes"].numpy(),
        residual_mm=tensors["residual_mm"].numpy(),
        scale=tuple(info["scale"]),
        shift_mm=tuple(info["shift_mm"]),
        by=info["by"],
    )


def build_small() -> Leadfield:
    """Build the lead field that the package ships: 994 regions seen by `standard_90`."""
    store = Cache()
    surfaces = _surfaces(store)
    parcellation = build_parcels(surfaces.mid, surfaces.faces, surfaces.thickness)
    connected = is_connected(parcellation.parcels, surfaces.faces)
    if parcellation.n_regions != 994 or not bool(connected.all()):
        raise MajorantError(
            f"{int(connected.sum())} of {parcellation.n_regions} regions are connected; expected "
            "994 of 994"
        )
    full = template_leadfield("standard_90", space="ico5", fixed=True)
    return full.regions(parcellation.parcels)


def read_electrodes(
    electrodes: Electrodes,
    ch_names: Sequence[str] | None = None,
    fiducials: Mapping[str, Sequence[float] | np.ndarray] | None = None,
) -> electrode_room.Electrodes:
    """Return the electrodes that `template_leadfield` would take, before they are aligned."""
    return _request(electrodes, CONDUCTIVITY, ch_names, fiducials).electrodes()


@dataclass(frozen=True)
class _Request:
    """Everything that determines a gain: JSON-serialisable, the key of the cache."""

    conductivity: tuple[float, float, float]
    montage: str | None
    ch_names: tuple[str, ...] | None
    positions: tuple[tuple[float, ...], ...] | None
    fiducials: tuple[tuple[float, ...], ...] | None
    thickness: float = 1.0

    @property
    def key(self) -> dict[str, Any]:
        """What the cache goes by; heads with the template's own skull keep their old key."""
        own = asdict(self)
        if self.thickness == 1.0:
            own.pop("thickness")
        return own

    def electrodes(self) -> electrode_room.Electrodes:
        """Return the electrodes asked for."""
        if self.montage is not None:
            return electrode_room.montage_electrodes(self.montage, self.ch_names)
        assert self.positions is not None
        assert self.ch_names is not None
        return electrode_room.Electrodes(
            "digitised positions",
            self.ch_names,
            np.array(self.positions),
            None if self.fiducials is None else np.array(self.fiducials),
        )


def _request(
    electrodes: Electrodes,
    conductivity: Sequence[float],
    ch_names: Sequence[str] | None,
    fiducials: Mapping[str, Sequence[float] | np.ndarray] | None,
    thickness: float = 1.0,
) -> _Request:
    sigma = _checked_conductivity(conductivity)
    if isinstance(electrodes, str):
        names = None if ch_names is None else tuple(ch_names)
        return _Request(sigma, electrodes, names, None, None, thickness)
    if ch_names is not None:
        missing = [name for name in ch_names if name not in electrodes]
        if missing:
            raise MajorantError(f"no position was given for {', '.join(missing)}")
        electrodes = {name: electrodes[name] for name in ch_names}
    found = electrode_room.digitised_electrodes(electrodes, fiducials)
    return _Request(
        sigma,
        None,
        found.ch_names,
        tuple(map(tuple, found.positions.tolist())),
        None if found.fiducials is None else tuple(map(tuple, found.fiducials.tolist())),
        thickness,
    )


def _checked_conductivity(conductivity: Sequence[float]) -> tuple[float, float, float]:
    values = tuple(float(value) for value in conductivity)
    if len(values) != 3 or not all(0 < value < float("inf") for value in values):
        raise MajorantError(
            f"conductivities are {values}; expected three positive numbers in S/m: brain, skull, "
            "scalp"
        )
    return values[0], values[1], values[2]


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise MajorantError(
            f"the template head is built from files of {package}, which is not installed; run "
            f"`python -m pip install {package}`"
        ) from error


def _surfaces(store: Cache) -> Surfaces:
    def build() -> Content:
        store.step("Reading the template's surfaces")
        return {k: torch.from_numpy(v) for k, v in vars(read_surfaces()).items()}, {}

    tensors, _ = store.get("surfaces", VERSION, [_version("nilearn")], build)
    return Surfaces(**{name: tensor.numpy() for name, tensor in tensors.items()})


def _head(
    conductivity: tuple[float, float, float], store: Cache, thickness: float = 1.0
) -> ShellHead:
    def build() -> Content:
        store.step("Solving for the potentials of the template head (once)")
        head = shells.build_head(conductivity, thickness)
        arrays = {k: v for k, v in vars(head).items() if isinstance(v, np.ndarray)}
        tensors = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in arrays.items()}
        tensors["solution"] = torch.frombuffer(bytearray(head.solution), dtype=torch.uint8)
        return tensors, {}

    key = [_version("mne"), list(conductivity)] + ([] if thickness == 1.0 else [thickness])
    tensors, _ = store.get("head", VERSION, key, build)
    arrays = {k: v.numpy() for k, v in tensors.items() if k != "solution"}
    solution = tensors["solution"].numpy().tobytes()
    return ShellHead(**arrays, conductivity=conductivity, solution=solution)


def _gain(request: _Request, store: Cache) -> Content:
    def build() -> Content:
        head, surfaces = _head(request.conductivity, store, request.thickness), _surfaces(store)
        alignment = electrode_room.align(request.electrodes(), head)
        store.step(f"Computing what {len(alignment.ch_names)} electrodes see of the cortex (once)")
        pial = surfaces.pial.reshape(-1, 3).astype(np.float64)
        positions, moved = shells.move_inside(pial, head)
        gain = shells.compute_gain(
            head,
            positions,
            surfaces.normals.reshape(-1, 3),
            alignment.ch_names,
            alignment.positions,
        )
        tensors = {
            "gain": torch.from_numpy(gain),
            "positions": torch.from_numpy(positions),
            "electrodes": torch.from_numpy(alignment.positions),
            "residual_mm": torch.from_numpy(alignment.residual_mm),
        }
        info = {
            "montage": alignment.name,
            "ch_names": list(alignment.ch_names),
            "scale": list(alignment.scale),
            "shift_mm": list(alignment.shift_mm),
            "by": alignment.by,
            "moved": moved.tolist(),
        }
        return tensors, info

    key = [_version("mne"), _version("nilearn"), request.key]
    return store.get("gain", VERSION, key, build)


def _leadfield(
    tensors: Mapping[str, Tensor],
    info: Mapping[str, Any],
    surfaces: Surfaces,
    space: str,
    fixed: bool,
) -> Leadfield:
    """Return the lead field of a source space, from the gain of all vertices."""
    n_vertices = surfaces.pial.shape[1]
    faces = torch.from_numpy(surfaces.faces).to(torch.int64)
    full = Leadfield(
        gain=tensors["gain"].to(torch.float64),
        n_orient=3,
        positions=tensors["positions"],
        normals=torch.from_numpy(surfaces.normals.reshape(-1, 3)),
        edges=mesh_edges(torch.cat([faces[0], faces[1] + n_vertices])),
        ch_names=tuple(info["ch_names"]),
        hemisphere=torch.arange(2).repeat_interleave(n_vertices),
        vertices=torch.arange(n_vertices).repeat(2),
    )
    if space == "regions":
        return full.regions(template_parcels())
    if fixed:
        full = full.fixed()
    if space == "ico5":
        return full
    chosen, edges = (
        octahedral(surfaces, int(space[3:]), full.edges)
        if space.startswith("oct")
        else _icosahedral(surfaces, N_ICO[space])
    )
    return full.subset(chosen, edges)


def _icosahedral(surfaces: Surfaces, n_kept: int) -> tuple[Tensor, Tensor]:
    """Return the first vertices of each hemisphere and the edges of the coarser mesh."""
    pairs = []
    for hemisphere in range(2):
        faces = surfaces.faces[hemisphere]
        while int(faces.max()) + 1 > n_kept:
            faces = coarser_faces(faces)
        pairs.append(mesh_edges(torch.from_numpy(faces).to(torch.int64)) + hemisphere * n_kept)
    n_vertices = surfaces.pial.shape[1]
    index = torch.arange(n_kept)
    return torch.cat([index, index + n_vertices]), torch.cat(pairs)


def octahedral(surfaces: Surfaces, depth: int, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vertices nearest an octahedral mesh, and those whose cells touch as neighbours."""
    points = octahedron(depth)
    n_vertices = surfaces.pial.shape[1]
    chosen, labels, start = [], [], 0
    for hemisphere in range(2):
        sphere = surfaces.sphere[hemisphere].astype(np.float64)
        sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
        index = np.unique(KDTree(sphere).query(points)[1])
        labels.append(KDTree(sphere[index]).query(sphere)[1] + start)
        chosen.append(index + hemisphere * n_vertices)
        start += len(index)
    cells = torch.from_numpy(np.concatenate(labels))
    return torch.from_numpy(np.concatenate(chosen)), contract_edges(edges, cells)
