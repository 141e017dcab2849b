"""Random numbers that depend on a key and a position, and on nothing else.

A sample of a simulated data set must be the same whatever batch it is drawn in, and a batch must
cost no loop over its samples. A generator with a state can do one or the other. Here every number
is a hash of a key (seed, sample, epoch, purpose) and its position (the finaliser of SplitMix64;
Steele, Lea and Flood, OOPSLA 2014), so any subset can be drawn in any order, on any device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
SECOND = 0x94D049BB133111EB - (1 << 64)
LOW_32 = 0xFFFFFFFF


def _shifted(z: Tensor, by: int) -> Tensor:
    """Shift right and fill with zeros (torch fills with the sign)."""
    return (z >> by).bitwise_and_((1 << (64 - by)) - 1)


def _mixed(z: Tensor) -> Tensor:
    """Hash 64 bits to 64 bits; overwrites its argument."""
    z.bitwise_xor_(_shifted(z, 30)).mul_(FIRST)
    z.bitwise_xor_(_shifted(z, 27)).mul_(SECOND)
    return z.bitwise_xor_(_shifted(z, 31))


def mix_(z: Tensor, work: Tensor) -> None:
    """Hash 64 bits to 64 bits in place, as :func:`bits` does, with memory to work in."""
    for by, factor in ((30, FIRST), (27, SECOND), (31, None)):
        torch.bitwise_right_shift(z, by, out=work)
        z.bitwise_xor_(work.bitwise_and_((1 << (64 - by)) - 1))
        if factor is not None:
            z.mul_(factor)


def keys(seed: int, index: Tensor, *words: int) -> Tensor:
    """One key per sample.

    Parameters
    ----------
    seed : int
        The seed of the whole data set.
    index : Tensor, shape (n_batch,), int64
        Sample numbers.
    *words : int
        What else tells streams apart: the purpose, the epoch, the part of the data set.

    Returns
    -------
    Tensor, shape (n_batch,), int64
        Keys, on the device of ``index``.
    """
    z = torch.full_like(index, _signed(seed))
    for word in (*words, index):
        z = _mixed(z + GOLDEN)
        z = z ^ (_signed(word) if isinstance(word, int) else word)
    return _mixed(z + GOLDEN)


def _signed(word: int) -> int:
    """Wrap a Python integer to the range of int64."""
    word &= (1 << 64) - 1
    return word - (1 << 64) if word >= (1 << 63) else word


def fork(key: Tensor, word: int) -> Tensor:
    """Derive independent keys for another purpose, shape (n_batch,), int64."""
    return _mixed(_mixed(key + GOLDEN) ^ _signed(word))


def bits(key: Tensor, count: int) -> Tensor:
    """Hash positions 0 to ``count - 1`` under every key: shape (n_batch, count), int64."""
    position = torch.arange(1, count + 1, device=key.device, dtype=torch.int64).mul_(GOLDEN)
    return _mixed(key[:, None] + position)


def uniform(key: Tensor, count: int) -> Tensor:
    """Uniform numbers in (0, 1], multiples of 2^-24: shape (n_batch, count), float32."""
    return (_shifted(bits(key, count), 40) + 1).to(torch.float32) * 2.0**-24


def integers(key: Tensor, count: int, n: int) -> Tensor:
    """Uniform integers from 0 to ``n - 1``: shape (n_batch, count), int64.

    The bias of a value is below ``n / 2^32``.
    """
    return _shifted(_shifted(bits(key, count), 32) * n, 32)


def distinct_integers(key: Tensor, count: int, n: int) -> Tensor:
    """Draw ``count`` different integers below ``n``: shape (n_batch, count), int64."""
    if count == 1:
        return integers(key, 1, n)
    return bits(key, n).topk(count, dim=1).indices


def normal(key: Tensor, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    """Independent standard normal numbers (Box and Muller): shape (n_batch, *shape).

    Parameters
    ----------
    key : Tensor, shape (n_batch,), int64
    shape : tuple of int
        Shape of one sample.
    dtype : torch.dtype
        float32 or float64: the same numbers, to the precision of the type.

    Returns
    -------
    Tensor, shape (n_batch, *shape)
        At most 6.8 in magnitude (32 bits a number).
    """
    count = math.prod(shape)
    z = bits(key, (count + 1) // 2)
    radius = (_shifted(z, 32)).to(dtype).add_(1.0).mul_(2.0**-32)
    radius = radius.log_().mul_(-2.0).clamp_min_(0.0).sqrt_()
    angle = z.bitwise_and_(LOW_32).to(dtype).mul_(2.0 * math.pi * 2.0**-32)
    pairs = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return pairs[:, :count].reshape(-1, *shape)
