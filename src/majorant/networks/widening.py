"""From a small network to a larger one that computes the same.

Where one set of weights serves all layers, every layer may get its own copy of it. A network that
is shown more clues starts with zeros on those.

Attention holds the pointwise network: what it embeds is the first hidden layer, and its head is
the second one with more inputs. With zeros on what a source sees of its neighbours, both are the
same function, so a trained pointwise network is a start for training attention. The zeros have a
gradient, because what is seen is not zero; queries and keys follow once they have moved.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from majorant.errors import MajorantError
from majorant.networks.corrections import Attention, Corrections, Pointwise


def widened(pointwise: Corrections, neighbours: int = 16, seed: int = 0) -> Corrections:
    """Return attention that computes what pointwise corrections do.

    Parameters
    ----------
    pointwise : Corrections
        Of kind "mlp", trained or not; left as they are.
    neighbours : int
        How many sources each one will look at.
    seed : int
        Of what does not matter yet: queries, keys and contents.

    Returns
    -------
    Corrections
        Of kind "attention", with as many layers, hidden numbers and sets of weights, in the same
        dtype.

    Raises
    ------
    MajorantError
        If the corrections are of another kind.
    """
    held = pointwise.settings
    if held.kind != "mlp":
        raise MajorantError(
            f"corrections of kind {held.kind!r} cannot be widened to attention; give those of an "
            "'mlp'"
        )
    settings = replace(held, kind="attention", neighbours=neighbours)
    made = Corrections(settings, seed, grown=len(pointwise.stages))
    made.to(next(pointwise.parameters()).dtype)
    for wide, narrow in zip(made.stages, pointwise.stages, strict=True):
        assert isinstance(wide, Attention)
        assert isinstance(narrow, Pointwise)
        _copy(narrow, wide)
    return made


def sighted(blind: Corrections) -> Corrections:
    """Return corrections of the same values that are also shown what factors leave.

    Parameters
    ----------
    blind : Corrections
        Without those clues; left as they are.

    Raises
    ------
    MajorantError
        If they look at them already, or at nothing at all.
    """
    held = blind.settings
    if held.factors or held.kind == "bias":
        raise MajorantError(
            f"corrections {held} cannot be shown factors; give an 'mlp' or 'attention' without"
        )
    made = Corrections(replace(held, factors=True), blind.seed, grown=len(blind.stages))
    made.to(next(blind.parameters()).dtype)
    weights = made.state_dict()
    for name, narrow in blind.state_dict().items():
        wide = weights[name].zero_()
        wide[tuple(slice(size) for size in narrow.shape)] = narrow
    made.load_state_dict(weights)
    return made


def unshared(one_for_all: Corrections) -> Corrections:
    """Return corrections of the same values with a set of weights for every layer.

    Parameters
    ----------
    one_for_all : Corrections
        With one set of weights; left as they are.

    Raises
    ------
    MajorantError
        If every layer has weights of its own already.
    """
    held = one_for_all.settings
    if not held.shared or len(one_for_all.stages) != 1:
        raise MajorantError("these corrections have weights of their own in every layer already")
    made = Corrections(replace(held, shared=False), one_for_all.seed)
    made.to(next(one_for_all.parameters()).dtype)
    for stage in made.stages:
        stage.load_state_dict(one_for_all.stages[0].state_dict())
    return made


@torch.no_grad()
def _copy(narrow: Pointwise, wide: Attention) -> None:
    hidden = wide.embed.weight.shape[0]
    wide.embed.load_state_dict(narrow.source[0].state_dict())
    wide.source[2].load_state_dict(narrow.source[4].state_dict())
    wide.sensor.load_state_dict(narrow.sensor.state_dict())
    second = narrow.source[2].state_dict()
    head = wide.source[0].state_dict()
    head["weight"].zero_()
    head["weight"][:, :hidden] = second["weight"]
    head["bias"].copy_(second["bias"])
