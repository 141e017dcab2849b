"""Caps that people own, by name: which electrodes they have, on one of MNE's montages.

Systems by their number of electrodes (the 10-20 system, the array of 25 of the International
Federation of Clinical Neurophysiology, the 10-10 system as common caps of 32 and 64 have it), and
the makers' own nets as MNE places them. Makers sell other layouts, too; ``--channels`` takes any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from majorant.errors import MajorantError

__all__ = ["CAPS", "NamedCap", "channels_of"]


@dataclass(frozen=True)
class NamedCap:
    """Electrodes of a cap.

    Attributes
    ----------
    title : str
        As a sentence calls it.
    montage : str
        Of MNE.
    channels : tuple of str
        Which of its electrodes; all where there are none.
    """

    title: str
    montage: str
    channels: tuple[str, ...] = ()


_TWENTY = (
    "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2"  # T7, T8, P7, P8: T3 to T6 of old
)
_THIRTY_TWO = (
    "Fp1 Fz F3 F7 FT9 FC5 FC1 C3 T7 TP9 CP5 CP1 Pz P3 P7 O1 Oz O2 P4 P8 TP10 CP6 CP2 Cz C4 T8 FT10 "
    "FC6 FC2 F4 F8 Fp2"
)
_SIXTY_FOUR = (
    f"{_THIRTY_TWO} AF7 AF3 AFz F1 F5 FT7 FC3 C1 C5 TP7 CP3 P1 P5 PO7 PO3 Iz POz PO4 PO8 P6 P2 CPz "
    "CP4 TP8 C6 C2 FC4 FT8 F6 AF8 AF4 F2"
)


def _of(title: str, names: str, montage: str = "standard_1005") -> NamedCap:
    return NamedCap(title, montage, tuple(names.split()))


CAPS: Mapping[str, NamedCap] = {
    "10-20-19": _of("the 10-20 system, 19 electrodes", _TWENTY),
    "10-20-21": _of("the 10-20 system with Fpz and Oz, 21 electrodes", f"{_TWENTY} Fpz Oz"),
    "ifcn-25": _of(
        "the array of the IFCN, 25 electrodes", f"{_TWENTY} F9 T9 P9 F10 T10 P10"
    ),  # Seeck et al. 2017, doi:10.1016/j.clinph.2017.06.254
    "10-10-32": _of("the 10-10 system as caps of 32 have it", _THIRTY_TWO),
    "10-10-64": _of("the 10-10 system as caps of 64 have it", _SIXTY_FOUR),
    "epoc-14": _of("EMOTIV EPOC, 14 electrodes", "AF3 F7 F3 FC5 T7 P7 O1 O2 P8 T8 FC6 F4 F8 AF4"),
    "cyton-16": _of(
        "OpenBCI Cyton and Daisy, 16 electrodes",
        "Fp1 Fp2 C3 C4 P7 P8 O1 O2 F7 F8 F3 F4 T7 T8 P3 P4",
    ),
    **{
        f"biosemi-{n}": NamedCap(f"BioSemi, {n} electrodes", f"biosemi{n}")
        for n in (16, 32, 64, 128, 160, 256)
    },
    **{
        f"hydrocel-{n}": NamedCap(f"EGI HydroCel, {n} electrodes", f"GSN-HydroCel-{name}")
        for n, name in ((32, "32"), (64, "64_1.0"), (128, "128"), (256, "256"))
    },
}
"""Caps by the name that ``--montage`` takes."""

TITLES = ("name", "label", "labels", "channel", "electrode")
"""What stands above the names in a table of electrodes, as BIDS has it."""


def channels_of(given: str) -> tuple[str, ...]:
    """Return the electrodes of an own list.

    Parameters
    ----------
    given : str
        Names with commas, or a text file of them: one a line or with commas, ``#`` for remarks; of
        a table (``.tsv``, ``.csv``) the first column.

    Raises
    ------
    MajorantError
        If the file is not there, cannot be read or names none.
    """
    path = Path(given).expanduser()
    if "," not in given and not path.is_file() and path.suffix in (".txt", ".tsv", ".csv"):
        raise MajorantError(f"there is no file {path}; give names with commas, or a file of them")
    if "," in given or not path.is_file():
        return tuple(name for name in (part.strip() for part in given.split(",")) if name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MajorantError(
            f"{path} cannot be read as a list of electrodes; give a text file with a name a line"
        ) from error
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    separator = "\t" if path.suffix == ".tsv" else "[,;\t]"
    cells = [[c.strip() for c in re.split(separator, line)] for line in lines if line]
    if path.suffix in (".tsv", ".csv"):
        names = [row[0] for row in cells]
        names = names[1:] if names and names[0].casefold() in TITLES else names
    else:
        names = [name for row in cells for name in row]
    found = tuple(name for name in names if name)
    if not found:
        raise MajorantError(f"{path} names no electrode; give a text file with a name a line")
    return found
