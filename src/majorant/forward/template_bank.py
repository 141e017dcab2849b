"""The template's bank of heads: its anatomy with anybody's electrodes.

See `majorant.forward.bank` for what a bank gives. MNE and nilearn are needed here, once; a bank
that was saved is read without them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from majorant.files.cache import Cache, Content
from majorant.forward import electrodes as electrode_room
from majorant.forward.anatomy import Anatomy
from majorant.forward.bank import BELIEVED_SKULL, HeadBank
from majorant.forward.shells import move_inside
from majorant.forward.template import (
    Electrodes,
    read_electrodes,
    template_head,
    template_parcels,
    template_surfaces,
)

__all__ = ["template_anatomy", "template_bank"]

Progress = Callable[[str], None] | None


def template_anatomy(progress: Progress = None) -> Anatomy:
    """Return the template without electrodes.

    Parameters
    ----------
    progress : callable, optional
        Takes a line of text for every step that takes time.
    """
    head, surfaces, store = (
        template_head(progress=progress),
        template_surfaces(progress),
        Cache(progress),
    )

    def build() -> Content:
        pial = surfaces.pial.reshape(-1, 3).astype(np.float64)
        normals = torch.from_numpy(surfaces.normals.reshape(-1, 3))
        return {"positions": torch.from_numpy(move_inside(pial, head)[0]), "normals": normals}, {}

    digest = hashlib.sha256(surfaces.pial.tobytes() + head.shells.tobytes()).hexdigest()
    cortex = store.get("cortex", 1, digest, build)[0]
    n = surfaces.pial.shape[1]
    return Anatomy(
        shells=head.shells,
        shell_faces=head.shell_faces.astype(np.int64),
        scalp=head.scalp,
        scalp_faces=head.scalp_faces.astype(np.int64),
        positions=cortex["positions"].numpy(),
        normals=cortex["normals"].numpy(),
        faces=np.concatenate([surfaces.faces[0], surfaces.faces[1] + n]).astype(np.int64),
        hemisphere=np.repeat(np.arange(2), n),
        vertices=np.tile(np.arange(n), 2),
        parcels=template_parcels().numpy(),
    )


def template_bank(
    electrodes: Electrodes,
    *,
    space: str = "ico4",
    ch_names: Sequence[str] | None = None,
    fiducials: Mapping[str, Sequence[float] | np.ndarray] | None = None,
    skull: float = BELIEVED_SKULL,
    progress: Progress = None,
) -> HeadBank:
    """Return the bank of the template for some electrodes.

    They are brought onto the scalp as those of
    :func:`majorant.forward.template.template_leadfield` are, and ``believed`` is its lead field.

    Parameters
    ----------
    electrodes : str or mapping of str to sequence of float
        A montage known to MNE, "standard_90", or digitised positions in metres by channel name.
    space : {"regions", "ico5", "ico4", "ico3"}
    ch_names : sequence of str, optional
        Electrodes wanted of a named montage or of the mapping; all by default.
    fiducials : mapping, optional
        "lpa", "nasion" and "rpa" in the frame of the digitised positions.
    skull : float
        Conductivity that is believed, S/m.
    progress : callable, optional
        Takes a line of text for every step that takes time.

    Raises
    ------
    MajorantError
        If montage, channels, positions or space make no sense.
    """
    asked = read_electrodes(electrodes, ch_names, fiducials)
    where = electrode_room.align(asked, template_head(progress=progress))
    return HeadBank(
        template_anatomy(progress),
        where.ch_names,
        where.positions,
        space=space,
        skull=skull,
        progress=progress,
    )
