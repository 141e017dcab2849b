"""Where the sources are and what the sensors see of them: any `mne.Forward` as a source model.

Everything ends as one :class:`SourceModel`. Orientation, depth and priors are MNE's own functions
in MNE's own order (`mne.minimum_norm.make_inverse_operator`), so that what is computed from the
model equals what MNE computes from the same forward and covariance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.extras import needed
from majorant.forward.leadfield import Leadfield
from majorant.head.spaces import SourceSpace
from majorant.problem import MajorantError
from majorant.recording.file import UNREADABLE
from majorant.solvers.abilities import Orientation

__all__ = [
    "DEPTH",
    "SourceModel",
    "leadfield_from_forward",
    "read_forward",
    "source_model",
]

DEPTH: Mapping[str, Any] = {
    "exp": 0.8,
    "limit": 10.0,
    "limit_depth_chs": True,
    "combine_xyz": "spectral",
}
"""MNE's defaults for minimum-norm estimates."""

LOOSE = 0.2
"""MNE's ``loose="auto"`` for surface source spaces."""


@dataclass(frozen=True, eq=False)
class SourceModel:
    """What is inverted, before whitening.

    Attributes
    ----------
    forward : mne.Forward or None
        Channels in the order of the data; fixed, or free with the normal as third column. None
        where the model was read from a file.
    leadfield : Leadfield
        The same gain, V/(A m) or T/(A m); positions in MRI surface RAS, metres.
    prior : array, shape (n_columns,)
        Depth times orientation prior, relative variances.
    loose : float
        0 fixed, 1 free; of the surfaces, where the source space is mixed.
    axes : array, shape (n_locations, n_orient, 3)
        Directions of the columns, in the forward's frame.
    space : SourceSpace
    """

    forward: Any
    leadfield: Leadfield
    prior: NDArray[np.float64]
    loose: float
    axes: NDArray[np.float64]
    space: SourceSpace

    @property
    def orientation(self) -> Orientation:
        """The orientation in words."""
        if self.leadfield.n_orient == 1:
            return "fixed"
        return "free" if self.loose == 1 else "loose"


def read_forward(path: str | Path) -> Any:
    """Read an `mne.Forward`, or a lead field that `majorant head --import` wrote.

    Returns
    -------
    mne.Forward or Leadfield
        A lead field where the file ends in ``.safetensors``.

    Raises
    ------
    MajorantError
        If there is no such file, or it holds none.
    """
    import mne

    path = Path(path).expanduser()
    if not path.is_file():
        raise MajorantError(f"there is no forward solution {path}; check the path")
    if path.suffix == ".safetensors":
        return Leadfield.load(path)
    if path.suffix in (".h5", ".hdf5"):
        needed("h5io")
    try:
        return mne.read_forward_solution(path, verbose="error")
    except UNREADABLE as error:
        raise MajorantError(
            f"{path} cannot be read as a forward solution; give a file that "
            "mne.write_forward_solution wrote"
        ) from error


def leadfield_from_forward(forward: Any) -> Leadfield:
    """Return the lead field of an `mne.Forward`, as it stands (fixed, free, surface-oriented).

    Positions and normals are brought to MRI coordinates. Channels keep their order.
    """
    from mne.io.constants import FIFF

    n_orient = 1 if forward["source_ori"] == FIFF.FIFFV_MNE_FIXED_ORI else 3
    turn, shift = np.eye(3), np.zeros(3)
    if forward["coord_frame"] == FIFF.FIFFV_COORD_HEAD:
        to_mri = np.linalg.inv(forward["mri_head_t"]["trans"])
        turn, shift = to_mri[:3, :3], to_mri[:3, 3]
    src = forward["src"]
    is_pair = len(src) == 2 and all(space["type"] == "surf" for space in src)
    sides = [np.full(s["nuse"], k if is_pair else -1) for k, s in enumerate(src)]
    normals = np.concatenate([space["nn"][space["vertno"]] for space in src])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 0, normals / np.where(length > 0, length, 1), [0.0, 0.0, 1.0])
    return Leadfield.from_arrays(
        np.asarray(forward["sol"]["data"], float),
        n_orient=n_orient,
        positions=forward["source_rr"] @ turn.T + shift,
        normals=normals @ turn.T,
        edges=_edges(src),
        ch_names=list(forward["sol"]["row_names"]),
        hemisphere=np.concatenate(sides),
        vertices=np.concatenate([space["vertno"] for space in src]),
        subject=src._subject or "",
    )


def _edges(src: Any) -> NDArray[np.int64] | None:
    """Neighbours in a source space, None where it has no mesh."""
    import mne

    meshed = all(s["type"] == "surf" and (s["nuse_tri"] or s["nuse"] == s["np"]) for s in src)
    if not meshed:
        return None
    with listening(Account(), "reading neighbours"):
        near = mne.spatial_src_adjacency(src).tocoo()
    return np.c_[near.row, near.col].astype(np.int64)


def source_model(
    forward: Any,
    info: Any,
    noise_cov: Any,
    *,
    loose: float | Mapping[str, float] | str = "auto",
    depth: float | Mapping[str, Any] | None = None,
    leadfield: Leadfield | None = None,
    space: SourceSpace | None = None,
) -> tuple[SourceModel, Any]:
    """Orient a forward and weigh its columns, in MNE's order.

    Parameters
    ----------
    forward : mne.Forward
    info : mne.Info
        Channels of the data; bad ones are left out, and so is what forward or covariance lack.
    noise_cov : mne.Covariance
    loose : float, dict or "auto"
        0 fixed, between loose, 1 free; "auto" is 0.2 on surfaces, 0 where the forward is fixed,
        and 1 elsewhere. One number for a mixed source space is that of its surfaces.
    depth : float, dict or None
        Exponent of the depth weighting, or arguments of `mne.forward.compute_depth_prior`.
    leadfield : Leadfield, optional
        Where the forward was made from one: keeps its regions and neighbours.
    space : SourceSpace, optional
        Where the estimates belong, if not on the forward's own source space.

    Returns
    -------
    model : SourceModel
    info : mne.Info
        The channels of the model, in order.

    Raises
    ------
    MajorantError
        If there are no common channels, or the forward cannot have this orientation.
    """
    import mne

    names = _common(forward, info, noise_cov)
    picked = mne.pick_info(info, [info["ch_names"].index(name) for name in names])
    forward = mne.pick_channels_forward(forward, names, ordered=True, verbose="error")
    value = _loose_value(forward, loose)
    weighting = _depth_settings(depth)
    if value > 0 and not mne.forward.is_fixed_orient(forward):
        forward = _turned(forward, fixed=False)
    prior = np.ones(forward["sol"]["ncol"])
    if weighting is not None:
        prior = _depth_prior(forward, picked, noise_cov, weighting)
    if value == 0 and not mne.forward.is_fixed_orient(forward):
        # MNE takes the weights from the free columns, then fixes the orientation.
        prior = prior[2::3]
        forward = _turned(forward, fixed=True)
    if value > 0:
        prior = prior * _orient_prior(forward, _loose_parts(forward["src"], value))
    oriented = leadfield_from_forward(forward)
    if leadfield is not None:
        oriented = replace(leadfield.pick(names), gain=oriented.gain, n_orient=oriented.n_orient)
    axes = forward["source_nn"].reshape(-1, oriented.n_orient, 3)
    space = space or SourceSpace.of(forward["src"])
    return SourceModel(forward, oriented, prior, value, axes, space), picked


def _common(forward: Any, info: Any, noise_cov: Any) -> list[str]:
    bad = {*info["bads"], *noise_cov["bads"]}
    rows, noisy = set(forward["sol"]["row_names"]), set(noise_cov["names"])
    names = [n for n in info["ch_names"] if n not in bad and n in rows and n in noisy]
    if names:
        return names
    if not rows & set(info["ch_names"]):
        theirs = ", ".join(sorted(rows)[:4])
        ours = ", ".join(info["ch_names"][:4])
        raise MajorantError(
            f"the forward solution ({theirs}, ...) and the recording ({ours}, ...) have no channel "
            "in common; compute the forward for this recording, or rename the channels"
        )
    raise MajorantError(
        "the noise covariance and the recording have no good channel in common; compute the "
        "covariance from this recording"
    )


def _loose_value(forward: Any, loose: float | Mapping[str, float] | str) -> float:
    """The one number that says it all: that of the surfaces, where there are any."""
    import mne

    fixed = mne.forward.is_fixed_orient(forward, orig=True)
    kind = SourceSpace.of(forward["src"]).kind
    if isinstance(loose, str):
        if loose.casefold() != "auto":
            raise MajorantError(f"loose is {loose!r}; expected 'auto' or a number from 0 to 1")
        return 0.0 if fixed else LOOSE if kind in ("surface", "mixed") else 1.0
    value = _of_surfaces(loose) if isinstance(loose, Mapping) else float(loose)
    if not 0 <= value <= 1:
        raise MajorantError(f"loose is {value}; expected a number from 0 (fixed) to 1 (free)")
    if fixed and value > 0:
        raise MajorantError(
            "the lead field has fixed orientation (one column per location), so loose must be 0; "
            "use a source space of vertices, or a forward with free orientation"
        )
    if kind == "volume" and value < 1:
        raise MajorantError(
            f"loose is {value}, but a volume has no normals to hold on to; use loose=1"
        )
    if kind == "mixed" and value == 0:
        raise MajorantError(
            "loose is 0, but the volumes of a mixed source space have no normals to hold on to; "
            "give a number above 0 for its surfaces"
        )
    return value


def _of_surfaces(loose: Mapping[str, float]) -> float:
    """The entry for surfaces; volumes are free whatever is said."""
    unknown = set(loose) - {"surface", "volume", "discrete"}
    if unknown or any(value != 1 for kind, value in loose.items() if kind == "volume"):
        raise MajorantError(
            f"loose is {dict(loose)}; expected a number for 'surface' or 'discrete', and 1 for "
            "'volume'"
        )
    return float(loose.get("surface", loose.get("discrete", 1.0)))


def _loose_parts(src: Any, value: float) -> dict[str, float]:
    """The same, for every kind of part that a source space has, as MNE takes it."""
    names = {"surf": "surface", "vol": "volume", "discrete": "discrete"}
    kinds = {names[part["type"]] for part in src}
    mixed = len(kinds) > 1
    return {kind: value if kind == "surface" or not mixed else 1.0 for kind in kinds}


STEEPEST = 10.0
"""Of a depth weighting: common exponents lie below 1."""


def _depth_settings(depth: float | Mapping[str, Any] | None) -> dict[str, Any] | None:
    if depth is None:
        return None
    settings = dict(depth) if isinstance(depth, Mapping) else {"exp": float(depth)}
    unknown = set(settings) - set(DEPTH)
    if unknown:
        raise MajorantError(
            f"depth has no setting {', '.join(sorted(unknown))}; it has {', '.join(DEPTH)}"
        )
    merged = {**DEPTH, **settings}
    if merged["exp"] is None or merged["exp"] == 0:
        return None
    if not 0 <= merged["exp"] <= STEEPEST:
        raise MajorantError(f"the depth exponent is {merged['exp']}; expected 0 to {STEEPEST:g}")
    return merged


def _turned(forward: Any, fixed: bool) -> Any:
    import mne

    return mne.convert_forward_solution(
        forward, surf_ori=True, force_fixed=fixed, use_cps=True, verbose="error"
    )


def _orient_prior(forward: Any, loose: Any) -> Any:
    import mne

    return mne.forward.compute_orient_prior(forward, loose=loose, verbose="error")


def _depth_prior(forward: Any, info: Any, noise_cov: Any, weighting: Mapping[str, Any]) -> Any:
    import mne

    return mne.forward.compute_depth_prior(
        forward, info, noise_cov=noise_cov, verbose="error", **weighting
    )


def as_tensor(array: NDArray[np.float64]) -> torch.Tensor:
    """A float64 tensor of an array, sharing memory where it can."""
    return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float64)
