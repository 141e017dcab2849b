"""By how much topographies are wrong, as a covariance: the error of a head, treated as noise.

A source that is at place p has the topography that its own head gives it, not the believed one.
What a bank of heads puts beside the believed topography is a sample of that error; its covariance
says in which directions of the sensors a believed lead field is not to be trusted (the Bayesian
approximation error; Kaipio and Somersalo, "Statistical and computational inverse problems", 2005,
section 5.8). Topographies have unit norm, for amplitudes are estimated in any case, and of a drawn
topography only the part across the believed one counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield

__all__ = ["TopographyErrors", "topography_errors"]


@dataclass(frozen=True, eq=False)
class TopographyErrors:
    """Errors of unit topographies over a bank of heads.

    Attributes
    ----------
    topographies : Tensor, shape (n_patches, n_rows), float64
        Believed, unit norm.
    errors : Tensor, shape (n_patches, n_rows, n_heads), float64
        Of every drawn head, across the believed topography; unitless.
    """

    topographies: Tensor
    errors: Tensor

    @property
    def n_heads(self) -> int:
        """Number of heads."""
        return int(self.errors.shape[-1])

    @cached_property
    def pooled(self) -> Tensor:
        """Mean of ``e e'`` over patches and heads, shape (n_rows, n_rows)."""
        flat = self.errors.movedim(1, 0).flatten(1)
        return flat @ flat.mT / flat.shape[1]

    @cached_property
    def factors(self) -> Tensor:
        """Per patch ``F`` with ``F F'`` the mean of ``e e'``, shape (n_patches, n_rows, n_heads).

        As many columns as heads: use Woodbury's identity.
        """
        return self.errors / self.n_heads**0.5

    @property
    def size(self) -> Tensor:
        """Root mean square norm of a patch's error, shape (n_patches,): .35 is 35 per cent."""
        return self.errors.square().sum(1).mean(-1).sqrt()


def topography_errors(
    believed: Leadfield,
    heads: Iterable[Leadfield],
    *,
    rows: Tensor,
    patches: Tensor | None = None,
) -> TopographyErrors:
    """Collect the errors of topographies.

    Parameters
    ----------
    believed : Leadfield
        One column per location.
    heads : iterable of Leadfield
        The same sources and sensors in other heads; one is in memory at a time.
    rows : Tensor, shape (n_rows, n_sensors)
        What is done to data before a solver sees them: reference, then whitening.
    patches : Tensor, shape (n_locations, n_patches), optional
        Columns of a patch are summed with these weights; every location alone by default.

    Raises
    ------
    MajorantError
        If shapes do not match, or there is no head.
    """
    if believed.n_orient != 1:
        raise MajorantError(
            "errors of topographies are those of fixed columns; give a lead field with one column "
            "per location (Leadfield.fixed)"
        )
    if rows.ndim != 2 or rows.shape[1] != believed.n_sensors:
        raise MajorantError(
            f"the rows have shape {tuple(rows.shape)}; expected (n, {believed.n_sensors})"
        )
    own, errors = _unit(believed, rows, patches), []
    for head in heads:
        if head.gain.shape != believed.gain.shape:
            raise MajorantError(
                f"a head has a gain of shape {tuple(head.gain.shape)}; expected that of the "
                f"believed one, {tuple(believed.gain.shape)}"
            )
        drawn = _unit(head, rows, patches)
        errors.append(drawn - (drawn * own).sum(1, keepdim=True) * own)
    if not errors:
        raise MajorantError("errors of topographies need at least one head; draw some")
    return TopographyErrors(own, torch.stack(errors, dim=-1))


def _unit(lead: Leadfield, rows: Tensor, patches: Tensor | None) -> Tensor:
    """Topographies of unit norm, shape (n_patches, n_rows)."""
    gain = rows.to(lead.gain) @ lead.gain
    if patches is not None:
        gain = gain @ patches.to(gain)
    return torch.nn.functional.normalize(gain.mT, dim=1)
