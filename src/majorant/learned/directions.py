"""From a network for outward currents to one for currents of both directions.

Simulated benchmarks have outward currents only, and a network that is trained on them knows nothing
else. Every channel is given a twin that sees everything with its sign turned, and what the twins
say is joined so that the whole is odd: if the data are turned, the estimate is turned.

- The prior becomes ``Phi(x) - Phi(-x)``. A hidden channel that answers to an outward patch is
  silent for an inward one, and its twin the other way round, so patches of both directions are
  known at once, side by side.
- The predicted curvature becomes even: the decoded streams of both signs are averaged before they
  are multiplied.

The result is an ordinary network of twice the channels, to be used as it is or trained on; what was
trained is made odd again by :func:`symmetrised`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from majorant.errors import MajorantError
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.networks.autoencoder import Conv


def doubled(settings: MMNetSettings) -> MMNetSettings:
    """Return the settings of the network for both directions."""
    return replace(
        settings, prior_hidden=2 * settings.prior_hidden, hidden=2 * settings.hidden, signed=True
    )


@torch.no_grad()
def both_directions(network: MMNetwork) -> MMNetwork:
    """Return the odd network of twice the channels.

    Parameters
    ----------
    network : MMNetwork
        Trained on sources of one direction, with a prior of three layers.

    Returns
    -------
    MMNetwork
        Of ``doubled(network.settings)``.

    Raises
    ------
    MajorantError
        If the step of the network is not the diagonal one.
    """
    s = network.settings
    if s.step != "diagonal":
        raise MajorantError(
            f"a network with the step {s.step!r} cannot be made one for both directions; take one "
            "with step='diagonal'"
        )
    made = MMNetwork(doubled(s))
    first, middle, last = (layer.get_parameter("weight") for layer in network.prior.layers)
    prior = [layer.get_parameter("weight") for layer in made.prior.layers]
    prior[0].copy_(torch.cat([first, -first]))
    prior[1].copy_(_twins(middle, [s.prior_hidden], [s.prior_hidden]))
    prior[2].copy_(torch.cat([last, -last], dim=1))
    one, two = network.curvature, made.curvature
    n, gates = s.hidden, [s.hidden] * 4
    for old, new in (
        (one.encode_gradient, two.encode_gradient),
        (one.encode_state, two.encode_state),
    ):
        _fill(new, torch.cat([old.weight, -old.weight]), _bias(old, [n]))
    for old, new, inputs in (
        (one.cell_1.gates, two.cell_1.gates, [n, n]),
        (one.cell_2.gates, two.cell_2.gates, [n, n, n]),
    ):
        _fill(new, _twins(old.weight, inputs, gates), _bias(old, gates))
    for old, new in ((one.decode_1, two.decode_1), (one.decode_2, two.decode_2)):
        _fill(new, 0.5 * torch.cat([old.weight, old.weight], dim=1), old.bias)
    return made


def _fill(layer: Conv, weight: Tensor, bias: Tensor | None) -> None:
    layer.weight.copy_(weight)
    if layer.bias is not None and bias is not None:
        layer.bias.copy_(bias)


def _bias(layer: Conv, groups: Sequence[int]) -> Tensor | None:
    """Every group of biases twice."""
    if layer.bias is None:
        return None
    return torch.cat([part for group in layer.bias.split(list(groups)) for part in (group, group)])


def _twins(weight: Tensor, inputs: Sequence[int], outputs: Sequence[int]) -> Tensor:
    """Every group of channels with its twin behind it; channels and twins do not see each other.

    Parameters
    ----------
    weight : Tensor, shape (sum of outputs, sum of inputs, kernel)
    inputs, outputs : sequence of int
        Sizes of the groups.

    Returns
    -------
    Tensor, shape (2 * sum of outputs, 2 * sum of inputs, kernel)
    """
    rows = []
    for row in weight.split(list(outputs)):
        parts = row.split(list(inputs), dim=1)
        nothing = [torch.zeros_like(part) for part in parts]
        rows.append(torch.cat([x for pair in zip(parts, nothing, strict=True) for x in pair], 1))
        rows.append(torch.cat([x for pair in zip(nothing, parts, strict=True) for x in pair], 1))
    return torch.cat(rows)


@torch.no_grad()
def symmetrised(network: MMNetwork) -> MMNetwork:
    """Return the nearest odd network to one that was trained on from :func:`both_directions`.

    Twins drift apart in training, and with them the estimates of data and of their negative. Every
    weight is replaced by the mean of itself and of its twin's, which is the orthogonal projection
    onto the odd networks.

    Parameters
    ----------
    network : MMNetwork
        Of twice the channels; those of every group stand before their twins.

    Returns
    -------
    MMNetwork
        Of the same settings; if the data are turned, its estimate is turned.
    """
    made = copy.deepcopy(network)
    s = network.settings
    h, n = [s.prior_hidden // 2], [s.hidden // 2]
    first, middle, last = (layer.get_parameter("weight") for layer in made.prior.layers)
    first.copy_(0.5 * (first - _swapped(first, 0, h)))
    middle.copy_(0.5 * (middle + _swapped(_swapped(middle, 0, h), 1, h)))
    last.copy_(0.5 * (last - _swapped(last, 1, h)))
    c, gates = made.curvature, n * 4
    for layer in (c.encode_gradient, c.encode_state):
        layer.weight.copy_(0.5 * (layer.weight - _swapped(layer.weight, 0, n)))
        _even(layer, n)
    for layer, inputs in ((c.cell_1.gates, n * 2), (c.cell_2.gates, n * 3)):
        twin = _swapped(_swapped(layer.weight, 0, gates), 1, inputs)
        layer.weight.copy_(0.5 * (layer.weight + twin))
        _even(layer, gates)
    for layer in (c.decode_1, c.decode_2):
        layer.weight.copy_(0.5 * (layer.weight + _swapped(layer.weight, 1, n)))
    return made


def _even(layer: Conv, groups: Sequence[int]) -> None:
    if layer.bias is not None:
        layer.bias.copy_(0.5 * (layer.bias + _swapped(layer.bias, 0, groups)))


def _swapped(x: Tensor, dim: int, groups: Sequence[int]) -> Tensor:
    """Exchange the channels of every group with their twins, which stand behind them."""
    parts = x.split([size for size in groups for _ in range(2)], dim=dim)
    return torch.cat([parts[i ^ 1] for i in range(len(parts))], dim=dim)
