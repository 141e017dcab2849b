"""The mean lead field over heads around the believed one, weighed by a recording.

Nobody has the template's head. Heads drawn around it (`majorant.forward.bank`: another skull,
electrodes elsewhere, another cortex) see the same sources otherwise, and what is expected of a
source is the mean over them. It is a lead field like any other: every solver takes it, with
whatever it promises. The axes of a location's columns turn with its cortex, as under a warp.

Heads are weighed by the recording: the likelihood of one, its noise unknown, is ``l^(-n/2)`` for a
window of which the best location leaves the share l, n electrodes less one. One head is behind all
windows, and what it leaves is mostly its own error, the same in all: they count as one, whose
likelihood is their geometric mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from majorant.forward.bank import BELIEVED_SKULL, DrawnHead, HeadBank, HeadSpread
from majorant.forward.bem import SKULLS
from majorant.forward.deform import rotation_between
from majorant.forward.leadfield import Leadfield, average_reference
from majorant.forward.shells import thicker
from majorant.forward.template_bank import template_anatomy
from majorant.head.model import SourceModel
from majorant.head.skull import left_by_best, principal
from majorant.problem import MajorantError

__all__ = [
    "MOST",
    "HeadsAround",
    "gains_elsewhere",
    "mean_over_heads",
    "spread_around",
    "template_heads_around",
]

MOST = 64
"""Heads at most; each costs a lead field."""
SEED = 2003
Progress = Callable[[str], None] | None


@dataclass(frozen=True, eq=False)
class HeadsAround:
    """The mean lead field over heads.

    Attributes
    ----------
    gain : Tensor, shape (n_channels, n_columns), float64
        V/(A m).
    weights : array, shape (n_heads,)
        Of the believed head and the drawn ones, of sum 1.
    """

    gain: Tensor
    weights: NDArray[np.float64]

    @property
    def effective(self) -> float:
        """How many heads that count alike would be averaged as well."""
        return float(1.0 / (self.weights**2).sum())


def template_heads_around(
    ch_names: tuple[str, ...],
    positions: np.ndarray,
    skull: float | None,
    thickness: float,
    progress: Progress = None,
) -> HeadBank:
    """Return the bank of the template for electrodes on its scalp.

    Parameters
    ----------
    ch_names : tuple of str
    positions : ndarray, shape (n_electrodes, 3)
        On the template's scalp, metres.
    skull : float or None
        Conductivity that is believed, S/m.
    thickness : float
        Of the skull, relative to the template's own.
    progress : callable, optional
        Takes a line of text for every step that takes time.
    """
    anatomy = template_anatomy(progress)
    anatomy = replace(anatomy, shells=thicker(anatomy.shells, thickness))
    believed = BELIEVED_SKULL if skull is None else skull
    return HeadBank(anatomy, ch_names, positions, skull=believed, progress=progress)


def spread_around(bank: HeadBank, digitised: bool) -> HeadSpread:
    """In what heads differ from the believed one.

    Parameters
    ----------
    bank : HeadBank
    digitised : bool
        Whether electrodes were measured: they are then elsewhere by 3 mm at most, else by 6, and
        the cap is not turned.
    """
    usual = HeadSpread()
    low, high = (bank.skull * part / BELIEVED_SKULL for part in usual.skull)
    skull = (max(low, SKULLS[0]), min(high, SKULLS[1]))
    # The skull's thickness and its conductivity change topographies alike.
    if digitised:
        return replace(usual, skull=skull, shapes=1, moved_mm=(0.0, 3.0), cap_deg=(0.0, 0.0))
    return replace(usual, skull=skull, shapes=1)


def gains_elsewhere(
    bank: HeadBank, model: SourceModel, ch_names: list[str], n: int, spread: HeadSpread
) -> tuple[Tensor, ...]:
    """Return the lead fields of drawn heads, in the columns of a source model.

    Parameters
    ----------
    bank : HeadBank
    model : SourceModel
        On vertices or regions of the template.
    ch_names : list of str
        Rows, in order.
    n : int
        Heads.
    spread : HeadSpread

    Returns
    -------
    tuple of Tensor, shape (n_channels, n_columns), float64
        V/(A m), at the bank's size.

    Raises
    ------
    MajorantError
        If there are too many, or the model's sources are not the template's.
    """
    lead = model.leadfield
    if not 1 <= n < MOST:
        raise MajorantError(f"{n + 1} heads were asked for; expected 2 to {MOST}")
    if lead.subject != bank.anatomy.subject:
        raise MajorantError(
            f"heads are drawn around {bank.anatomy.subject}, and the sources are those of "
            f"{lead.subject or 'another'}; leave heads out"
        )
    regions = lead.kind == "regions"
    own = bank.pick(ch_names)
    own = own.in_space("regions") if regions else own
    drawn = own.iterate(n, SEED, split="train", spread=spread)
    return tuple(head.leadfield.gain if regions else _columns(head, model) for head in drawn)


def mean_over_heads(
    believed: Leadfield, others: tuple[Tensor, ...], windows: Tensor | None
) -> HeadsAround:
    """Average the lead fields of the believed head and of others.

    Parameters
    ----------
    believed : Leadfield
    others : tuple of Tensor, shape (n_channels, n_columns)
        Of other heads, at its size.
    windows : Tensor or None, shape (n_windows, n_channels, n_times)
        Of the recording, any unit; None weighs all alike.
    """
    gains = (believed.gain, *others)
    weights = np.full(len(gains), 1.0 / len(gains))
    if windows is not None:
        rows = average_reference(len(gains[0]))
        parts, n_orient = principal(rows @ windows.to(rows)), believed.n_orient
        left = [left_by_best(_bases(rows @ gain, n_orient), parts) for gain in gains]
        score = -0.5 * len(rows) * torch.stack(left).double().log().mean(dim=1)
        weights = torch.softmax(score, dim=0).numpy()
    mean = torch.zeros_like(gains[0])
    for weight, gain in zip(weights.tolist(), gains, strict=True):
        mean += weight * gain
    return HeadsAround(mean, weights)


def _bases(gain: Tensor, n_orient: int) -> Tensor:
    """Orthonormal topographies of every location, (n_locations, n_orient, n_rows), float32."""
    return torch.linalg.qr(gain.T.unflatten(0, (-1, n_orient)).mT).Q.mT.float()


def _columns(head: DrawnHead, model: SourceModel) -> Tensor:
    """What electrodes see of the model's columns in one drawn head."""
    bank, lead = head.bank, model.leadfield
    seen = bank._seen(head.electrodes, head.skull, head.shape, head.spread)
    n_side = int((bank.anatomy.hemisphere == 0).sum())
    index = (lead.hemisphere * n_side + lead.vertices).numpy()
    positions, normals = (part[index] for part in head.cortex)
    turn = Rotation.from_rotvec(rotation_between(lead.normals.numpy(), normals)).as_matrix()
    axes = np.einsum("nij,nkj->nki", turn, model.axes)
    columns = [seen(positions, np.ascontiguousarray(axes[:, k])) for k in range(lead.n_orient)]
    return torch.stack(columns, dim=2).flatten(1)
