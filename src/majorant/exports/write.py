"""The list of exports, and how each gets its sidecar."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from majorant.errors import MajorantError, nearest
from majorant.exports.arrays import write_mat, write_npz
from majorant.exports.material import Material, Sidecar
from majorant.exports.movies import encoder, write_gif, write_mp4
from majorant.exports.pictures import write_png, write_svg
from majorant.exports.surfaces import write_cifti, write_gifti
from majorant.exports.tables import NO_REGIONS, write_csv, write_regions, write_set, write_tsv
from majorant.exports.volumes import write_nifti
from majorant.extras import needed

__all__ = ["FORMATS", "check_formats", "export"]

FORMATS: Mapping[str, Callable[[Material, Path], dict[str, Sidecar]]] = {
    "csv": write_csv,
    "tsv": write_tsv,
    "gifti": write_gifti,
    "cifti": write_cifti,
    "nifti": write_nifti,
    "mat": write_mat,
    "npz": write_npz,
    "set": write_set,
    "svg": write_svg,
    "png": write_png,
    "gif": write_gif,
    "mp4": write_mp4,
}
"""What writes each."""


def check_formats(formats: Iterable[str], *, regions: bool = True) -> None:
    """Refuse a format that there is not, or that cannot be written here, before anything runs.

    Parameters
    ----------
    formats : iterable of str
    regions : bool
        Whether regions are asked for.

    Raises
    ------
    MajorantError
        Naming the nearest, or what is missing.
    """
    for name in formats:
        if name not in FORMATS:
            raise MajorantError(
                f"there is no export {name!r}{nearest(name, FORMATS)}; choose from "
                f"{', '.join(FORMATS)}"
            )
        if name == "set":
            needed("eeglabio")
            if not regions:
                raise MajorantError(NO_REGIONS)
        if name == "mp4":
            encoder()


def export(material: Material, formats: Iterable[str], folder: Path) -> None:
    """Write an estimate in several formats, each file with a ``.json`` of its name beside it.

    Parameters
    ----------
    material : Material
        Its courses of regions, where it has some, are written as ``regions.csv`` and
        ``regions-ave.fif`` in any case.
    formats : iterable of str
        Of :data:`FORMATS`.
    folder : Path
        Exists.

    Raises
    ------
    MajorantError
        If there is no such format, or the estimate cannot be had in it.
    """
    asked = list(dict.fromkeys(formats))
    check_formats(asked)
    found: dict[str, Sidecar] = {}
    if material.courses is not None:
        found |= write_regions(material, folder)
    for name in asked:
        found |= FORMATS[name](material, folder)
    for name, said in found.items():
        text = json.dumps(said, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{_stem(name)}.json").write_text(text, "utf-8")


def _stem(name: str) -> str:
    """Name of a file's sidecar: its own up to the dot, with the suffix where several share it."""
    stem, _, suffix = name.partition(".")
    shared = stem == "estimate" or suffix == "set"
    return f"{stem}_{suffix.partition('.')[0]}" if shared else stem
