"""What lies between the matrix products of MM-Net, as loops over numbers, compiled.

A step of the network is some ten matrix products with element-wise work in between. Written as
array operations, that work is a hundred calls, each of which reads and writes whole arrays; here it
is ten loops, one between any two products, that pass over the samples one by one while they are in
the cache. What is computed, and where that is from, is said in ``fused/__init__.py``.

Arrays are float32 and C-contiguous, rows first: row ``b * n_times + t`` is time point ``t`` of
sample ``b``. Sums are taken in float64. Nothing here mixes two samples. What the loops call stands
in the same file, because what numba keeps on disk is made anew when its own file changes, only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Array = np.ndarray[Any, Any]
Single = Any  # a float32, which no annotation tells from other floats
Loop = TypeVar("Loop", bound=Callable[..., Any])

NUMBERS = 9
"""Norms, cosines and the like of a sample, which travel from loop to loop as a row of an array."""

ENERGY, FIDELITY, PRIOR, COS_DATA, NORM_DATA, NORM_X, COS_PRIOR, NORM_PHI, NORM_SLOPE = range(
    NUMBERS
)
"""Where in the row they are."""

LOOSE = {"reassoc", "contract", "arcp", "nsz"}
"""Sums may be taken in any order; NaN and infinite numbers stay what they are."""


_ZERO, _HALF, _ONE, _TWICE = (np.float32(k) for k in (0, 0.5, 1, 2))
_LOWEST, _HIGHEST = np.float32(-87), np.float32(88)
_PER_TWO, _TWO, _TWO_REST = (
    np.float32(k) for k in (1 / math.log(2), 355 / 512, math.log(2) - 355 / 512)
)
_F2, _F3, _F4, _F5, _F6, _F7 = (np.float32(1 / math.factorial(k)) for k in range(2, 8))
_I3, _I5, _I7, _I9, _I11, _I13, _I15 = (np.float32(1 / k) for k in range(3, 16, 2))
_LEAST, _BIAS = np.float32(-126), np.int32(126)
_POWERS = np.array([2.0**n for n in range(-126, 128)], np.float32)


def _compiled(loop: Loop) -> Loop:
    """Compile at the first call, and keep the result on disk where there is a place for it."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": LOOSE}
    try:
        return cast(Loop, numba.njit(cache=True, **options)(loop))
    except RuntimeError:  # neither beside the package nor in the user's cache
        return cast(Loop, numba.njit(**options)(loop))


@_compiled
def inverse(size: float) -> float:
    """``1 / size``, and 0 where ``size`` is 0 or NaN."""
    return 1.0 / size if size > 0.0 else 0.0


@_compiled
def exponential(z: Single) -> Single:
    """``exp(z)`` to the rounding of float32, as a formula that many lanes take at once.

    ``2^n exp(r)`` with ``|r| <= log(2) / 2``, where eight terms of the series are enough; ``z`` is
    held in [-87, 88], where float32 holds the result, and NaN stays NaN.
    """
    z = _LOWEST if z < _LOWEST else z
    z = _HIGHEST if z > _HIGHEST else z
    n = np.floor(z * _PER_TWO + _HALF)
    r = (z - n * _TWO) - n * _TWO_REST  # the logarithm of 2 in two parts: n times it is exact
    tail = _F4 + r * (_F5 + r * (_F6 + r * _F7))
    series = _ONE + r * (_ONE + r * (_F2 + r * (_F3 + r * tail)))
    return series * _POWERS[np.int32(n if n >= _LEAST else _LEAST) + _BIAS]


@_compiled
def logistic(z: Single) -> Single:
    """``1 / (1 + exp(-z))``."""
    return _ONE / (_ONE + exponential(-z))


@_compiled
def softplus(z: Single) -> Single:
    """``log(1 + exp(z))``, to the rounding of float32 also where that is small.

    ``max(z, 0) + log(1 + t)`` with ``t = exp(-|z|)``, and ``log(1 + t) = 2 artanh(t / (2 + t))``.
    """
    t = exponential(-abs(z))
    s = t / (_TWICE + t)
    q = s * s
    tail = _I9 + q * (_I11 + q * (_I13 + q * _I15))
    series = _ONE + q * (_I3 + q * (_I5 + q * (_I7 + q * tail)))
    return (z if z > _ZERO else _ZERO) + _TWICE * s * series


@_compiled
def own(rows: Array, b: int, n_times: int) -> Array:
    """All numbers of sample ``b``, side by side, in the same memory."""
    return rows[b * n_times : (b + 1) * n_times].reshape(-1)


@_compiled
def neighbours(wide: Array, n_times: int, width: int) -> None:
    """Copy the middle block of every row to the rows before and after it, in the same sample.

    Rows of ``wide`` hold an odd number of blocks of ``width`` numbers: the samples in time beside
    the own one, zero beyond the ends.
    """
    taps = wide.shape[1] // width
    half = taps // 2
    for row in range(wide.shape[0]):
        t = row % n_times
        for tap in range(taps):
            block = wide[row, tap * width :]
            if tap != half and 0 <= t + tap - half < n_times:
                other = wide[row + tap - half, half * width :]
                for i in range(width):
                    block[i] = other[i]
            elif tap != half:
                for i in range(width):
                    block[i] = np.float32(0.0)


@_compiled
def unit(y: Array, n_times: int, found: Array) -> None:
    """Divide every sample of ``y`` by its norm, to ``found`` in float64; zero stays zero."""
    for b in range(y.shape[0] // n_times):
        y_b, found_b, square = own(y, b, n_times), own(found, b, n_times), 0.0
        for i in range(y_b.size):
            square += np.float64(y_b[i]) * np.float64(y_b[i])
        over = inverse(math.sqrt(square))
        for i in range(y_b.size):
            found_b[i] = over * np.float64(y_b[i])


@_compiled
def bend(z: Array, skip: int, eps2: float, n_times: int, slopes: Array, wide: Array) -> None:
    """SoftReLU of ``z[:, skip:]`` with its neighbours to ``wide``, and its slope to ``slopes``."""
    width = slopes.shape[1]
    middle = (wide.shape[1] // width // 2) * width
    square, half = np.float32(eps2), np.float32(0.5)
    for row in range(z.shape[0]):
        into, bent, slope = z[row, skip:], wide[row, middle:], slopes[row]
        for i in range(width):
            v = into[i]
            size = abs(v)
            root = np.sqrt(v * v + square)
            value = half * (v + size) + half * square / (root + size)
            bent[i] = value
            slope[i] = value / root
    neighbours(wide, n_times, width)


@_compiled
def angles(
    seen: Array, y: Array, x: Array, p: Array, weight: float, exact: bool, numbers: Array
) -> int:  # fmt: skip
    """Norms and cosines of every sample.

    Parameters
    ----------
    seen : array, shape (n_rows, n_sensors + ..)
        ``L x`` in front.
    y : array, shape (n_rows, n_sensors), float64
        The data, of norm 1 or 0 in every sample.
    x, p : array, shape (n_rows, n_columns)
        The point, and ``Phi`` of it.
    weight : float
        Of the prior's term.
    exact : bool
        Take the cosines from the distances of the unit vectors, free of cancellation, and add the
        distances up to the energy.
    numbers : array, shape (n_batch, n_numbers), float64
        Filled, but for the norm of the slope.

    Returns
    -------
    int
        Samples in which ``Phi`` is not finite.
    """
    n_batch = numbers.shape[0]
    n_times, n_sensors, overflowed = x.shape[0] // n_batch, y.shape[1], 0
    for b in range(n_batch):
        x_b, p_b = own(x, b, n_times), own(p, b, n_times)
        aa = ay = yy = xx = pp = xp = 0.0
        for row in range(b * n_times, (b + 1) * n_times):
            a_t, y_t = seen[row], y[row]
            for i in range(n_sensors):
                a = np.float64(a_t[i])
                aa += a * a
                ay += a * y_t[i]
                yy += y_t[i] * y_t[i]
        for i in range(x_b.size):
            v, w = np.float64(x_b[i]), np.float64(p_b[i])
            xx += v * v
            pp += w * w
            xp += v * w
        norm_a, norm_x, norm_p = math.sqrt(aa), math.sqrt(xx), math.sqrt(pp)
        over_a, over_x, over_p = inverse(norm_a), inverse(norm_x), inverse(norm_p)
        cos_data, cos_prior = ay * over_a, xp * over_x * over_p
        if exact:
            apart_data = apart_prior = 0.0
            for row in range(b * n_times, (b + 1) * n_times):
                a_t, y_t = seen[row], y[row]
                for i in range(n_sensors):
                    gap = over_a * np.float64(a_t[i]) - y_t[i]
                    apart_data += gap * gap
            for i in range(x_b.size):
                gap = over_x * np.float64(x_b[i]) - over_p * np.float64(p_b[i])
                apart_prior += gap * gap
            fidelity = 1.0 if norm_a == 0.0 or yy == 0.0 else 0.5 * apart_data
            prior = 1.0 if over_x * over_p == 0.0 else 0.5 * apart_prior
            numbers[b, ENERGY] = fidelity + weight * prior
            numbers[b, FIDELITY], numbers[b, PRIOR] = fidelity, prior
            cos_data, cos_prior = 1.0 - fidelity, 1.0 - prior
        numbers[b, NORM_DATA], numbers[b, NORM_X], numbers[b, NORM_PHI] = norm_a, norm_x, norm_p
        numbers[b, COS_DATA], numbers[b, COS_PRIOR] = cos_data, cos_prior
        if not math.isfinite(norm_p):
            overflowed += 1
    return overflowed


@_compiled
def aim(x: Array, p: Array, numbers: Array, into: Array) -> None:
    """The slope of the prior's term in ``p``, to ``into``."""
    n_batch = numbers.shape[0]
    n_times = x.shape[0] // n_batch
    for b in range(n_batch):
        x_b, p_b, into_b = own(x, b, n_times), own(p, b, n_times), own(into, b, n_times)
        over_x, over_p = inverse(numbers[b, NORM_X]), inverse(numbers[b, NORM_PHI])
        of_p, of_x = (
            np.float32(numbers[b, COS_PRIOR] * over_p * over_p),
            np.float32(over_x * over_p),
        )
        for i in range(x_b.size):
            into_b[i] = of_p * p_b[i] - of_x * x_b[i]


@_compiled
def weigh(arrived: Array, slopes: Array, n_times: int, wide: Array) -> None:
    """``arrived * slopes`` with its neighbours to ``wide``."""
    width = slopes.shape[1]
    middle = (wide.shape[1] // width // 2) * width
    for row in range(slopes.shape[0]):
        v, slope, passed = arrived[row], slopes[row], wide[row, middle:]
        for i in range(width):
            passed[i] = v[i] * slope[i]
    neighbours(wide, n_times, width)


@_compiled
def join(
    seen: Array, y: Array, arrived: Array, slopes: Array, weight: float, numbers: Array,
    joined: Array,
) -> None:  # fmt: skip
    """The slopes in ``L x`` and in what enters the prior's first non-linearity, side by side."""
    n_batch, n_sensors = numbers.shape[0], y.shape[1]
    n_times, share = seen.shape[0] // n_batch, np.float32(weight)
    for b in range(n_batch):
        over = inverse(numbers[b, NORM_DATA])
        of_a, of_y = np.float32(numbers[b, COS_DATA] * over * over), np.float32(over)
        for row in range(b * n_times, (b + 1) * n_times):
            a_t, y_t, of_data = seen[row], y[row], joined[row]
            for i in range(n_sensors):
                of_data[i] = of_a * a_t[i] - of_y * np.float32(y_t[i])
            v, slope, of_prior = arrived[row], slopes[row], joined[row, n_sensors:]
            for i in range(slope.size):
                of_prior[i] = share * v[i] * slope[i]


@_compiled
def finish(x: Array, p: Array, weight: float, numbers: Array, slope: Array) -> None:
    """Add what the prior's term has in ``x`` itself to ``slope``; note the norm of all."""
    n_batch = numbers.shape[0]
    n_times = x.shape[0] // n_batch
    for b in range(n_batch):
        x_b, p_b, slope_b = own(x, b, n_times), own(p, b, n_times), own(slope, b, n_times)
        over_x, over_p = inverse(numbers[b, NORM_X]), inverse(numbers[b, NORM_PHI])
        of_x = np.float32(weight * numbers[b, COS_PRIOR] * over_x * over_x)
        of_p, square = np.float32(weight * over_x * over_p), 0.0
        for i in range(x_b.size):
            g = slope_b[i] + (of_x * x_b[i] - of_p * p_b[i])
            slope_b[i] = g
            square += np.float64(g) * np.float64(g)
        numbers[b, NORM_SLOPE] = math.sqrt(square)


@_compiled
def gather(
    code: Array, skip: int, bias: Array, sizes: Array, extra: Array, hidden: Array, wide: Array
) -> None:
    """A code with every sample's size taken out, ``extra`` and ``hidden``, with their neighbours.

    The code is ``code[:, skip:]``; ``sizes`` holds the root mean squares of what was coded.
    """
    n_batch, n_code, n_both = sizes.size, bias.size, bias.size + extra.shape[1]
    n_times, width = code.shape[0] // n_batch, n_both + hidden.shape[1]
    middle = (wide.shape[1] // width // 2) * width
    for b in range(n_batch):
        over = np.float32(inverse(sizes[b]))
        for row in range(b * n_times, (b + 1) * n_times):
            given, read = code[row, skip:], wide[row, middle:]
            for i in range(n_code):
                read[i] = over * given[i] + bias[i]
            given, read = extra[row], wide[row, middle + n_code :]
            for i in range(extra.shape[1]):
                read[i] = given[i]
            given, read = hidden[row], wide[row, middle + n_both :]
            for i in range(hidden.shape[1]):
                read[i] = given[i]
    neighbours(wide, n_times, width)


@_compiled
def remember(gates: Array, bias: Array, hidden: Array, cell: Array) -> None:
    """The ConvLSTM's update of ``hidden`` and ``cell``, in place.

    ``gates`` (n_rows, 4 n_hidden) are what is let in, kept, let out, and new, before their
    functions and without their ``bias``; ``tanh(z)`` is ``2 logistic(2 z) - 1``.
    """
    n = cell.shape[1]
    for row in range(cell.shape[0]):
        held, said = cell[row], hidden[row]
        let_in, keep, let_out, new = (
            gates[row], gates[row, n:], gates[row, 2 * n :], gates[row, 3 * n :],
        )  # fmt: skip
        for i in range(n):
            fresh = _TWICE * logistic(_TWICE * (new[i] + bias[3 * n + i])) - _ONE
            kept = logistic(keep[i] + bias[n + i]) * held[i]
            held[i] = kept + logistic(let_in[i] + bias[i]) * fresh
            bent = _TWICE * logistic(_TWICE * held[i]) - _ONE
            said[i] = logistic(let_out[i] + bias[2 * n + i]) * bent


@_compiled
def decode(
    first: Array, bias_1: Array, second: Array, bias_2: Array, offset: float, positive: bool
) -> None:
    """The product of both decoded streams, plus the offset, in place of ``first``.

    ``positive``: softplus of it.
    """
    start = np.float32(offset)
    for row in range(first.shape[0]):
        v, w = first[row], second[row]
        for i in range(v.size):
            v[i] = (v[i] + bias_1[i]) * (w[i] + bias_2[i]) + start
        if positive:
            for i in range(v.size):
                v[i] = softplus(v[i])


@_compiled
def move(
    p: Array, slope: Array, positive: bool, gamma: float, floor: float, limit: float,
    numbers: Array, x: Array,
) -> None:  # fmt: skip
    """Take the step ``-gamma p * g`` of every sample, of its scale, in place of ``x``.

    Parameters
    ----------
    p : array, like ``x``
        The predicted inverse curvature, in units of ``rms x / rms g``; overwritten.
    slope : array, like ``x``
    positive : bool
        Keep ``p`` above ``floor |x|^2``.
    gamma : float
        Step length.
    floor : float
    limit : float
        A step may be at most this many times as long as the point it starts from.
    numbers : array, shape (n_batch, n_numbers), float64
        The norm of ``x`` is noted anew.
    x : array, shape (n_rows, n_columns)
    """
    n_batch = numbers.shape[0]
    n_times = x.shape[0] // n_batch
    root = math.sqrt(n_times * x.shape[1])
    for b in range(n_batch):
        p_b, slope_b, x_b = own(p, b, n_times), own(slope, b, n_times), own(x, b, n_times)
        norm_x = numbers[b, NORM_X]
        size, over = norm_x / root, inverse(numbers[b, NORM_SLOPE] / root)
        lowest = np.float32(floor * norm_x * norm_x * inverse(size * over) if positive else -np.inf)
        unit, length, square = np.float32(over), np.float32(-gamma * size), 0.0
        for i in range(x_b.size):
            value = lowest if p_b[i] < lowest else p_b[i]  # NaN stays NaN
            way = value * (unit * slope_b[i]) * length
            p_b[i] = way
            square += np.float64(way) * np.float64(way)
        part, taken, longest = np.float32(1.0), math.sqrt(square), limit * norm_x
        if taken > longest and longest > 0.0:
            part = np.float32(longest * inverse(taken))
        square = 0.0
        for i in range(x_b.size):
            there = x_b[i] + part * p_b[i]
            x_b[i] = there
            square += np.float64(there) * np.float64(there)
        numbers[b, NORM_X] = math.sqrt(square)
