"""The unfolded sparse Bayesian solver with the weights that come with the package.

The networks look at sources and sensors through clues without a unit, so one set of weights serves
any source space and any montage. There is one for each mode, small and the same in every layer.
Mode ``gated`` has three more. ``everyday``, its default, was trained on everyday data, with 1 to
100 samples and on columns that are patches, too. Of the others, trained on small patches and spread
noise as published, one has weights of its own in every layer, and one has attention, which also
looks at a source's neighbours.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from majorant.energies.basis import Basis
from majorant.energies.gaussian import NoiseModel, Orientation
from majorant.learned.unfolded import Mode, UnfoldedSBL
from majorant.majorants.guard import Guard
from majorant.networks.corrections import Corrections
from majorant.problem import DamagedFile, MajorantError
from majorant.solvers.floors import Floors
from majorant.weights.floors import shipped_floors

Packaged = Literal["everyday", "mlp", "layers", "attention"]
"""Corrections that come with weights; all but "mlp" for mode ``gated``."""

FOLDER = Path(__file__).parent


def shipped_unfolded(mode: Mode, correction: Packaged = "mlp") -> Path:
    """Return the file of the packaged weights of a mode, or of a larger network, which has one."""
    return FOLDER / f"unfolded-{mode if correction == 'mlp' else correction}.safetensors"


def weights_at(name: str | os.PathLike[str]) -> Path:
    """Return the file of weights: a path, or the name of packaged ones, as "unfolded-gated"."""
    packaged = FOLDER / f"{Path(name).name}.safetensors"
    return packaged if packaged.is_file() and not Path(name).exists() else Path(name)


@cache
def _packaged(mode: Mode, correction: Packaged) -> tuple[Corrections, dict[str, Any]]:
    if correction not in get_args(Packaged):
        raise MajorantError(
            f"there are no packaged weights for the correction {correction!r}; choose one of "
            f"{', '.join(get_args(Packaged))}"
        )
    return Corrections.load(shipped_unfolded(mode, correction))


def load_unfolded(
    path: str | os.PathLike[str] | None, mode: Mode, correction: Packaged = "mlp"
) -> tuple[Corrections, dict[str, Any]]:
    """Load corrections and their card.

    Parameters
    ----------
    path : path or None
        A file of one's own training; None takes the packaged one.
    mode : {"gated", "theta", "exact", "free"}
        Mode they are to be used in; "exact" shares the weights of "free".
    correction : {"everyday", "mlp", "layers", "attention"}
        Which of the packaged ones.

    Raises
    ------
    MajorantError
        If there is no such file, it is damaged, or the weights were trained in another mode whose
        corrections mean something else.
    """
    own: Mode = "free" if mode == "exact" else mode
    corrections, card = _packaged(own, correction) if path is None else Corrections.load(path)
    trained = card.get("mode", own)
    if (trained == "theta") is not (mode == "theta"):
        raise MajorantError(
            f"the weights were trained in mode {trained!r}, where a correction means something "
            f"else than in mode {mode!r}; use them with mode={trained!r}"
        )
    return corrections, card


def unfolded_sbl(
    mode: Mode = "gated",
    *,
    correction: Packaged | None = None,
    weights: str | os.PathLike[str] | None = None,
    noise: NoiseModel = "diagonal",
    orientation: Orientation | None = None,
    kappa: float = 1.0,
    guard: Guard | None = None,
    recalibrated: bool = True,
    basis: Basis | None = None,
) -> UnfoldedSBL:
    """The unfolded solver with trained corrections.

    Parameters
    ----------
    mode : {"gated", "theta", "exact", "free"}
        See :class:`majorant.learned.unfolded.UnfoldedSBL`.
    correction : {"everyday", "mlp", "layers", "attention"}, optional
        Which of the packaged weights: one small network for all layers, trained on everyday data or
        as published; one for each layer; or one that looks at a source's neighbours, too. By
        default "everyday" in mode "gated", and "mlp" in the others.
    weights : path or None
        A file of one's own training; None takes the packaged one.
    noise, orientation, kappa, guard
        See :class:`majorant.learned.unfolded.UnfoldedSBL`.
    recalibrated : bool
        Give the posterior standard deviation the floors of the card, so that intervals of 90 % hold
        nine tenths of the truth at active locations of a recording, as far as it is like the
        simulated ones (:mod:`majorant.solvers.floors`); False is the posterior as it is.
    basis : {"points", "patches"}, optional
        See :class:`majorant.learned.unfolded.UnfoldedSBL`; by default what the weights were trained
        on.
    """
    if correction is None:
        correction = "everyday" if mode == "gated" else "mlp"
    corrections, card = load_unfolded(weights, mode, correction)
    floors = floors_of(card)
    if floors is None and weights is None:
        floors = shipped_floors(f"unfolded-{correction}")
    return UnfoldedSBL(
        corrections,
        mode,
        noise=noise,
        orientation=orientation,
        kappa=kappa,
        guard=guard,
        floors=floors if recalibrated else None,
        basis=basis or basis_of(card),
    )


def floors_of(card: Mapping[str, Any]) -> Floors | None:
    """Floors of the posterior standard deviation that a card holds.

    Those of version 0.1, shares of the largest estimate, were too low where little is found; they
    are left out, and the posterior is as it is.

    Raises
    ------
    DamagedFile
        If they are not what they should be.
    """
    held = card.get("recalibration")
    if held is None or (isinstance(held, Mapping) and "floors" in held):
        return None
    if not isinstance(held, Mapping):
        raise DamagedFile("the card's recalibration does not hold floors")
    return Floors.of_card(held)


def basis_of(card: Mapping[str, Any]) -> Basis:
    """Columns that the weights of a card were trained on.

    Raises
    ------
    DamagedFile
        If the card names none that there are.
    """
    training = card.get("training", {})
    basis: Any = training.get("basis", "points") if isinstance(training, Mapping) else None
    if basis in get_args(Basis):
        return basis
    raise DamagedFile(
        f"the card says the weights were trained on {basis!r}; expected one of "
        f"{', '.join(get_args(Basis))}"
    )
