"""Lead fields of other tools: FieldTrip, Brainstorm, SimNIBS, the New York Head, plain arrays.

`import_leadfield` reads a `.mat` (any version), EEGLAB's `.set`, a `.h5`, `.hdf5` or `.npz` file,
recognises its layout by what is in it, brings it to V/(A m) and metres, and says what was found and
done. What a file does not say is told from its numbers where they leave one answer, and asked for
where not:

- lengths: a cortex is some 7 cm from its middle, whatever the unit;
- potentials: units differ by thousands, and a dipole of a human cortex gives some 100 V/(A m);
- the reference: a reference electrode that is no row of the matrix is put back as zeros; after that
  the average reference makes any reference the same.

Layouts
-------
FieldTrip (also EEGLAB's ``dipfit.sourcemodel``, also written by SimNIBS): a struct with ``pos`` and
a cell ``leadfield`` of (channels, orientations), empty outside the brain; ``label``, ``unit``.
Brainstorm: ``Gain`` (channels, 3 sources), ``GridLoc``, ``GridOrient``; a file of its own names its
channels. SimNIBS: HDF5 ``mesh_leadfield/leadfields/tdcs_leadfield``, the electric field
of currents between each electrode and a reference; by reciprocity its negative is the lead field
(Nielsen et al., NeuroImage 277:120259, 2023). New York Head: ``sa.cortex75K`` (Huang, Parra and
Haufe, NeuroImage 140:150, 2016). Plain: arrays named as in `Leadfield`, or as DUNEuro's users do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield

__all__ = ["GAIN_UNITS", "LENGTH_UNITS", "Imported", "import_leadfield"]

LENGTH_UNITS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
GAIN_UNITS = {"V/(A m)": 1.0, "uV/(nA m)": 1e3, "V/(mA m)": 1e3, "mV/(nA m)": 1e6, "uV/(A m)": 1e-6}
"""Factors to V/(A m)."""
USUAL = 95.0
"""V/(A m): root mean square over electrodes of a cortical dipole's potential, about."""
USUAL_RADIUS = 0.065
"""Metres: median distance of a cortex from its middle, about."""
PLAIN = {
    "gain": ("gain", "leadfield", "lead_field", "lf", "l"),
    "positions": ("positions", "pos", "dipoles", "source_positions", "rr", "vertices"),
    "normals": ("normals", "nrm", "nn", "orientations", "source_normals"),
    "faces": ("faces", "tri", "tris"),
    "ch_names": ("ch_names", "label", "labels", "channels", "electrode_names", "names"),
}


@dataclass(frozen=True, eq=False)
class _Found:
    """What a file holds, before units and names are settled."""

    layout: str
    gain: np.ndarray
    """(channels, sources, orientations)"""
    positions: np.ndarray
    normals: np.ndarray | None = None
    faces: np.ndarray | None = None
    ch_names: tuple[str, ...] | None = None
    length_unit: str | None = None
    gain_unit: str | None = None
    notes: tuple[str, ...] = ()
    mni: bool = False


@dataclass(frozen=True, eq=False)
class Imported:
    """A lead field of another tool.

    Attributes
    ----------
    leadfield : Leadfield
        V/(A m), metres, in the file's own axes; free orientation where the file has it.
    layout : str
        "FieldTrip", "Brainstorm", "SimNIBS", "New York Head" or "plain arrays".
    notes : tuple of str
        What was found and done, a sentence each.
    mni : bool
        Whether the layout is known to be in MNI space.
    """

    leadfield: Leadfield
    layout: str
    notes: tuple[str, ...]
    mni: bool


def import_leadfield(
    path: str | os.PathLike[str],
    *,
    ch_names: Sequence[str] | None = None,
    gain_unit: str | None = None,
    length_unit: str | None = None,
) -> Imported:
    """Read a lead field of another tool.

    Parameters
    ----------
    path : path
        `.mat`, `.set`, `.h5`, `.hdf5` or `.npz`.
    ch_names : sequence of str, optional
        Names of the rows, where the file has none.
    gain_unit : str, optional
        One of `GAIN_UNITS`; what the file says, or its numbers, by default.
    length_unit : {"m", "cm", "mm"}, optional
        The same for positions.

    Raises
    ------
    MajorantError
        If the file cannot be read, holds no lead field, or does not say enough; the sentence names
        what to give.
    """
    path = Path(path).expanduser()
    found = _recognised(path)
    found = _named(found, ch_names, path)
    positions, length_note = _metres(found, length_unit)
    gain, gain_note = _volts(found, gain_unit)
    gain, reference_note = _reference(gain, found)
    n, s, k = gain.shape
    normals = _outward(found, positions)
    lead = Leadfield.from_arrays(
        gain.reshape(n, s * k),
        positions=positions,
        normals=normals,
        n_orient=k,
        edges=_edges(found.faces),
        ch_names=found.ch_names,
        subject="foreign",
    )
    what = "free" if k == 3 else "fixed"
    notes = (
        f"{path.name} is a lead field of {found.layout}: {n} electrodes, {s:,} sources, {what} "
        "orientation.",
        *found.notes,
        length_note,
        gain_note,
        reference_note,
        *_sign(lead, found.normals is not None),
    )
    return Imported(lead, found.layout, tuple(note for note in notes if note), found.mni)


def _recognised(path: Path) -> _Found:
    """Read a file and tell its layout."""
    if not path.is_file():
        raise MajorantError(f"there is no file {path}; check the path")
    suffix = path.suffix.lower()
    try:
        if suffix in (".h5", ".hdf5"):
            return _hdf5(path)
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as held:
                return _plain({name: held[name] for name in held.files})
        if suffix in (".mat", ".set"):
            from pymatreader import read_mat

            return _matlab(read_mat(path))
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, EOFError) as error:
        reason = " ".join(str(error).split())[:160]
        raise MajorantError(
            f"{path} cannot be read as a lead field ({reason}); is it what its suffix says?"
        ) from error
    raise MajorantError(
        f"{path} has a suffix that is not known; a lead field comes as .mat, .h5, .hdf5 or .npz, "
        "and an mne.Forward is given as it is"
    )


def _matlab(content: Mapping[str, Any]) -> _Found:
    for part in _structs(content):
        if "Gain" in part and "GridLoc" in part:
            return _brainstorm(part)
        if "cortex75K" in part:
            return _new_york(part)
        if "pos" in part and isinstance(part.get("leadfield"), list | np.ndarray):
            return _fieldtrip(part)
    return _plain(content)


def _structs(content: Mapping[str, Any], depth: int = 4) -> Iterator[Mapping[str, Any]]:
    """A struct, and those inside it."""
    yield content
    for value in content.values() if depth else ():
        if isinstance(value, Mapping):
            yield from _structs(value, depth - 1)


def _brainstorm(part: Mapping[str, Any]) -> _Found:
    positions = np.asarray(part["GridLoc"], float).reshape(-1, 3)
    gain = np.asarray(part["Gain"], float)
    blocks = gain.reshape(len(gain), len(positions), -1)
    normals = np.asarray(part.get("GridOrient", []), float)
    return _Found(
        "Brainstorm",
        blocks,
        positions,
        normals=normals if normals.shape == positions.shape else None,
        length_unit="m",
        gain_unit="V/(A m)",
    )


def _new_york(part: Mapping[str, Any]) -> _Found:
    cortex, notes = part["cortex75K"], ()
    names = tuple(str(name) for name in part["clab_electrodes"])
    gain = np.asarray(cortex["V_fem"], float)
    positions = np.asarray(cortex["vc"], float).reshape(-1, 3)
    index = np.arange(len(positions))
    smaller = part.get("cortex10K", {})
    if "in_from_cortex75K" in smaller:
        index = np.asarray(smaller["in_from_cortex75K"], int).ravel() - 1
        notes = (f"The {len(index):,} sources of its cortex10K were taken.",)
    return _Found(
        "New York Head",
        gain[:, index],
        positions[index],
        normals=np.asarray(cortex["normals"], float)[index] if "normals" in cortex else None,
        faces=None if len(index) < len(positions) else _from_one(cortex["tri"]),
        ch_names=names,
        length_unit="mm",
        notes=notes,
        mni=True,
    )


def _fieldtrip(part: Mapping[str, Any]) -> _Found:
    positions = np.asarray(part["pos"], float).reshape(-1, 3)
    cells = [np.asarray(cell, float) for cell in part["leadfield"]]
    if len(cells) != len(positions):
        raise ValueError(f"{len(cells)} lead fields for {len(positions)} positions")
    used = [i for i, cell in enumerate(cells) if cell.size and np.isfinite(cell).all()]
    if not used:
        raise ValueError("no position has a lead field")
    blocks = np.stack([np.atleast_2d(cells[i].T).T for i in used], axis=1)
    outside = len(cells) - len(used)
    note = (f"{outside:,} positions outside the brain were left out.",) if outside else ()
    normals = next((part[key] for key in ("nrm", "normals", "mom") if key in part), None)
    shaped = None if normals is None else np.asarray(normals, float)
    if shaped is not None and shaped.shape == positions.shape[::-1] != positions.shape:
        shaped = shaped.T
    right = shaped is not None and shaped.shape == positions.shape
    faces = next((part[key] for key in ("tri", "tris") if key in part), None)
    unit = part.get("unit")
    return _Found(
        "FieldTrip",
        blocks,
        positions[used],
        normals=shaped[used] if right and shaped is not None else None,
        faces=None if faces is None or outside else _from_one(faces),
        ch_names=tuple(str(name) for name in part["label"]) if "label" in part else None,
        length_unit=str(unit) if unit in LENGTH_UNITS else None,
        gain_unit="V/(A m)" if unit == "m" else None,
        notes=note,
    )


def _hdf5(path: Path) -> _Found:
    import h5py

    with h5py.File(path, "r") as file:
        if "mesh_leadfield" not in file:
            parts = {str(name): part for name, part in file.items()}
            arrays = {k: part[()] for k, part in parts.items() if isinstance(part, h5py.Dataset)}
            return _plain(arrays)
        mesh: Any = file["mesh_leadfield"]
        field = mesh["leadfields"]["tdcs_leadfield"]
        names = [_text(name) for name in field.attrs["electrode_names"]]
        absent = _text(field.attrs["reference_electrode"])
        # The field of a current from an electrode to the reference; a potential falls along it.
        gain = -np.asarray(field[()], float) / float(field.attrs.get("current", 1.0))
        positions = np.asarray(mesh["nodes"]["node_coord"][()], float)
        faces = np.asarray(mesh["elm"]["node_number_list"][()], int)[:, :3] - 1
    note: tuple[str, ...] = ()
    if len(gain) == len(names) - 1 and absent in names:
        gain = np.insert(gain, names.index(absent), 0.0, axis=0)
        note = (f"The reference electrode {absent} was put back as zeros.",)
    return _Found(
        "SimNIBS",
        gain,
        positions[: gain.shape[1]],
        faces=faces,
        ch_names=tuple(names),
        length_unit="mm",
        gain_unit="V/(A m)",
        notes=note,
    )


def _plain(content: Mapping[str, Any]) -> _Found:
    folded = {name.casefold(): value for name, value in content.items()}
    parts = {
        what: next((folded[name] for name in names if name in folded), None)
        for what, names in PLAIN.items()
    }
    if parts["gain"] is None or parts["positions"] is None:
        raise MajorantError(
            "the file holds no lead field of a layout that is known; expected arrays named gain "
            f"(or leadfield) and positions (or pos), found {', '.join(map(str, content))[:120]}"
        )
    positions = np.asarray(parts["positions"], float)
    normals = parts["normals"]
    if positions.ndim == 2 and positions.shape[1] == 6:
        positions, normals = positions[:, :3], positions[:, 3:]
    gain = _as_blocks(np.asarray(parts["gain"], float), len(positions), normals is not None)
    names = parts["ch_names"]
    reference = folded.get("reference")
    found = _Found(
        "plain arrays",
        gain,
        positions,
        normals=None if normals is None else np.asarray(normals, float),
        faces=None if parts["faces"] is None else np.asarray(parts["faces"], int),
        ch_names=None if names is None else tuple(_text(name) for name in np.ravel(names)),
        gain_unit=_text(folded["unit"]) if "unit" in folded else None,
        length_unit=_text(folded["length_unit"]) if "length_unit" in folded else None,
    )
    return found if reference is None else _with_reference(found, _text(reference))


def _with_reference(found: _Found, name: str) -> _Found:
    """Put a reference electrode that is no row back."""
    names = found.ch_names or ()
    if not name or name.casefold() in ("average", "infinity") or name in names:
        return found
    return replace(
        found,
        gain=np.concatenate([found.gain, np.zeros_like(found.gain[:1])]),
        ch_names=(*names, name) if names else None,
        notes=(*found.notes, f"The reference electrode {name} was put back as zeros."),
    )


def _as_blocks(gain: np.ndarray, n: int, has_normals: bool) -> np.ndarray:
    """Bring a gain to (channels, sources, orientations)."""
    if gain.ndim == 3 and gain.shape[2] in (1, 3) and gain.shape[1] == n:
        return gain
    if gain.ndim == 3 and gain.shape[2] in (1, 3) and gain.shape[0] == n:
        return gain.transpose(1, 0, 2)
    for matrix in (gain, gain.T):
        if matrix.ndim == 2 and matrix.shape[1] in (n, 3 * n):
            return matrix.reshape(len(matrix), n, -1)
    raise MajorantError(
        f"the gain has shape {gain.shape} for {n} positions; expected (channels, {n}), (channels, "
        f"{3 * n}) or (channels, {n}, 3)"
    )


def _named(found: _Found, given: Sequence[str] | None, path: Path) -> _Found:
    """Settle the names of the rows; rows that are not finite are no electrodes."""
    names = tuple(given) if given is not None else found.ch_names
    rows = len(found.gain)
    if names is None:
        raise MajorantError(
            f"{path.name} does not name its {rows} electrodes; give their names in order "
            "(--channels FILE, one a line, or Brainstorm's channel file)"
        )
    if len(names) != rows:
        raise MajorantError(
            f"{len(names)} names came for {rows} electrodes; give one for every row of the gain"
        )
    good = np.isfinite(found.gain).all(axis=(1, 2)) & (np.array([bool(n) for n in names]))
    if not good.any():
        raise MajorantError(f"{path.name} holds no row of finite numbers; it is no lead field")
    kept = tuple(name for name, keep in zip(names, good, strict=True) if keep)
    dropped = rows - len(kept)
    note = (f"{dropped} rows without a name or of numbers that are not finite were left out.",)
    notes = (*found.notes, *(note if dropped else ()))
    return replace(found, gain=found.gain[good], ch_names=kept, notes=notes)


def _metres(found: _Found, given: str | None) -> tuple[np.ndarray, str]:
    """Positions in metres; what the numbers say must agree with what is said."""
    centre = np.median(found.positions, axis=0)
    radius = float(np.median(np.linalg.norm(found.positions - centre, axis=1)))
    told = {
        name: abs(np.log10(max(radius * factor, 1e-12) / USUAL_RADIUS))
        for name, factor in LENGTH_UNITS.items()
    }
    likely = min(told, key=lambda name: told[name])
    unit = given or found.length_unit
    if unit is None:
        if told[likely] > 0.35:
            raise MajorantError(
                f"positions lie {radius:.3g} from their middle (median), which is no head in m, cm "
                "or mm; give --length-unit"
            )
        return found.positions * LENGTH_UNITS[likely], f"Positions were taken to be in {likely}."
    if unit not in LENGTH_UNITS:
        raise MajorantError(f"there is no length unit {unit!r}; choose {', '.join(LENGTH_UNITS)}")
    if told[unit] > 0.6:
        raise MajorantError(
            f"positions are said to be in {unit} and lie {radius:.3g} {unit} from their middle "
            f"(median); a head in {likely} does; give --length-unit {likely}"
        )
    return found.positions * LENGTH_UNITS[unit], ""


def _volts(found: _Found, given: str | None) -> tuple[np.ndarray, str]:
    """The gain in V/(A m); units differ by thousands, human heads do not."""
    referenced = found.gain - found.gain.mean(axis=0)
    size = float(np.median(np.sqrt((referenced**2).sum(axis=2).mean(axis=0))))
    if size == 0:
        raise MajorantError("the gain is zero; the file holds no lead field")
    away = np.log10(size / USUAL)
    power = round(away / 3)
    unit = given or found.gain_unit
    if unit is not None:
        if unit not in GAIN_UNITS:
            raise MajorantError(f"there is no unit {unit!r}; choose {', '.join(GAIN_UNITS)}")
        scaled = away + np.log10(GAIN_UNITS[unit])
        if abs(scaled) > 1.5:
            raise MajorantError(
                f"the gain is said to be in {unit}, and its dipoles give {10**scaled * USUAL:.3g} "
                f"V/(A m) where a human cortex gives about {USUAL:.0f}; give its unit with --unit, "
                f"one of {', '.join(GAIN_UNITS)}"
            )
        return found.gain * GAIN_UNITS[unit], ""
    if abs(away - 3 * power) > 1:
        raise MajorantError(
            f"the file does not say the unit of its gain, and dipoles of {size:.3g} leave more "
            f"than one; give --unit, one of {', '.join(GAIN_UNITS)}"
        )
    factor = 10.0 ** (-3 * power)
    return found.gain * factor, (
        f"The unit of the gain is not said; its size is that of a head in units of {factor:g} V/(A "
        "m)."
    )


def _reference(gain: np.ndarray, found: _Found) -> tuple[np.ndarray, str]:
    """Say what the potentials are against."""
    size = np.abs(gain).max()
    zero = np.flatnonzero(np.abs(gain).max(axis=(1, 2)) < 1e-9 * size)
    assert found.ch_names is not None
    if len(zero) == 1:
        return gain, f"Potentials are against {found.ch_names[int(zero[0])]}."
    if len(zero) > 1:
        names = ", ".join(found.ch_names[i] for i in zero[:6].tolist())
        raise MajorantError(
            f"{len(zero)} electrodes see nothing ({names}); at most the reference may; leave these "
            "rows out"
        )
    if np.abs(gain.mean(axis=0)).max() < 1e-6 * size:
        return gain, "Potentials are against the average of its electrodes."
    return gain, (
        "Potentials are against infinity or an electrode that is no row; the average reference of "
        "lead field and data makes that the same, but an electrode that is no row cannot be imaged "
        "with."
    )


def _outward(found: _Found, positions: np.ndarray) -> np.ndarray | None:
    """Unit normals, of the file or of the mesh."""
    if found.normals is not None:
        length = np.linalg.norm(found.normals, axis=1, keepdims=True)
        return found.normals / np.maximum(length, 1e-12)
    if found.faces is None or len(np.unique(found.faces)) < len(positions):
        return None
    from majorant.forward.surfaces import vertex_normals

    return vertex_normals(positions, found.faces)


def _sign(lead: Leadfield, from_file: bool) -> tuple[str, ...]:
    """Caution where strong outward dipoles are negative above themselves."""
    if lead.n_orient == 3 and float(lead.normals.std(dim=0).max()) < 1e-6:
        return ()
    gain = lead.fixed().gain
    gain = gain - gain.mean(dim=0)
    strong = gain[:, gain.norm(dim=0) >= torch.quantile(gain.norm(dim=0), 0.9)]
    peak = strong.gather(0, strong.abs().argmax(dim=0, keepdim=True))[0]
    if float((peak > 0).double().mean()) > 0.4:
        return ()
    whose = "the file’s normals" if from_file else "the mesh’s normals"
    return (
        f"Caution: of the strongest dipoles along {whose}, most are negative at the electrode "
        "nearest them: the normals point inward, or the sign of the gain is turned.",
    )


def _edges(faces: np.ndarray | None) -> np.ndarray | None:
    if faces is None:
        return None
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [0, 2]]])


def _from_one(faces: Any) -> np.ndarray:
    """Triangles that are counted from one, from zero."""
    return np.asarray(faces, int).reshape(-1, 3) - 1


def _text(value: Any) -> str:
    """A string of an attribute or array, bytes or not."""
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else "".join(map(str, value))
    return value.decode() if isinstance(value, bytes) else str(value)
