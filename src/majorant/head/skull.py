"""What a recording says about the skull, and how well it can be believed.

Nine skulls between the least and the best conducting of the bank's are weighed on the template's
cortex, with electrodes where they are believed, in two ways:

- *windows*: what the best place with a free direction leaves unexplained, summed over windows
  (logarithms): a profile likelihood;
- *rest*: the marginal likelihood of the covariance of all data under equal, independent sources.

Neither curve is believed as it stands: heads err in more than their skull, and cortex is neither
one place nor everywhere alike. What curves say of the truth is learned from recordings that are
simulated for the same electrodes, number of windows and signal-to-noise ratios, on heads of the
bank with skulls, electrodes, cortices and thicknesses of their own (simulation-based calibration),
by ridge regression; the spread of what is left out gives the interval. Where it is hardly narrower
than that of the heads themselves, the recording does not tell. `benchmarks/skull.py` judges this.

References
----------
Cranmer, Brehmer and Louppe, "The frontier of simulation-based inference", PNAS 117:30055, 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from majorant.forward.bank import SKULL_RANGE, DrawnHead, HeadBank, HeadSpread
from majorant.forward.graph import mesh_edges
from majorant.forward.leadfield import average_reference
from majorant.problem import MajorantError

__all__ = [
    "Heard",
    "SkullCalibration",
    "SkullGrid",
    "SkullSaid",
    "calibrated",
    "hear",
    "left_by_best",
    "principal",
    "simulate_recording",
    "skull_grid",
    "smoothing",
]

SKULLS = np.geomspace(*SKULL_RANGE, 9)
KEPT = 6
"""Components that are kept of a window."""
SMOOTHEST = 6
"""Steps of smoothing on the mesh of simulated resting cortex, at most."""
SEEDED = 41
RIDGE = 1.0
TOLD = 0.75
"""The recording tells of the skull where its spread is below this share of that of all heads."""
Named = tuple[str, ...]


@dataclass(frozen=True)
class SkullGrid:
    """Believed heads with nine skulls.

    Attributes
    ----------
    bases : Tensor, shape (n_skulls, n_locations, 3, n_rows), float32
        Orthonormal rows of the three topographies of every location, average reference.
    moments : Tensor, shape (n_skulls, n_rows, n_rows), float64
        ``L L'``, trace of the number of rows.
    rows : Tensor, shape (n_rows, n_electrodes)
        The reference.
    """

    bases: Tensor
    moments: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Heard:
    """Log likelihoods of nine skulls.

    Attributes
    ----------
    windows, rest : array, shape (n_skulls,)
    skull : float or None
        The truth of a simulated recording, S/m.
    """

    windows: NDArray[np.float64]
    rest: NDArray[np.float64]
    skull: float | None = None


@dataclass(frozen=True)
class SkullSaid:
    """What a recording says about the skull.

    Attributes
    ----------
    skull, low, high : float
        Median and 90 % interval, S/m.
    told : bool
        Whether the interval is clearly narrower than that of heads nobody knows anything of.
    spread, prior : float
        Standard deviation of the logarithm: of this, and of all heads.
    n : int
        Simulated recordings that it was learned from.
    """

    skull: float
    low: float
    high: float
    told: bool
    spread: float
    prior: float
    n: int

    def sentence(self) -> str:
        """Say it."""
        if not self.told:
            return (
                "This recording does not tell how well the skull conducts: over "
                f"{self.n} simulated recordings like it, the best guess misses by a factor of "
                f"{math.exp(self.spread):.2f} (standard deviation), and guessing without data by "
                f"{math.exp(self.prior):.2f}. Keep the usual value."
            )
        return (
            f"This recording says that the skull conducts {self.skull:.4f} S/m ({self.low:.4f} to "
            f"{self.high:.4f}, 90 %), as far as it is like the {self.n} simulated ones that this "
            "was learned from."
        )

    def short(self) -> str:
        """Say it in a few words."""
        if not self.told:
            return "it cannot be told"
        return f"{self.skull:.4f} S/m ({self.low:.4f} to {self.high:.4f}, 90 %)"

    def document(self) -> dict[str, Any]:
        """Say it as plain values, ready for JSON."""
        return {
            "skull_conductivity": self.skull if self.told else None,
            "interval": [self.low, self.high],
            "told": self.told,
            "spread": self.spread,
            "prior": self.prior,
            "simulated": self.n,
            "sentence": self.sentence(),
        }

    def weights(self, skulls: Sequence[float]) -> NDArray[np.float64]:
        """Weights of heads with some skulls, of sum 1: their average, rather than a choice.

        All alike where the recording does not tell.
        """
        if not self.told:
            return np.full(len(skulls), 1.0 / len(skulls))
        off = (np.log(np.asarray(skulls)) - math.log(self.skull)) / self.spread
        weight = np.exp(-0.5 * (off**2 - (off**2).min()))
        return weight / weight.sum()

    def weighted(self, spread: HeadSpread) -> HeadSpread:
        """Heads drawn as often as the recording makes them likely; as they were if it says nothing.

        ``bank.draw(n, seed, spread=said.weighted(spread))`` is a sample of the weighted bank, whose
        heads count alike.
        """
        return replace(spread, said=(self.skull, self.spread)) if self.told else spread


def skull_grid(bank: HeadBank) -> SkullGrid:
    """Make the believed head of a bank with nine skulls.

    Parameters
    ----------
    bank : HeadBank
        On vertices; few of them (ico3) do.
    """
    rows = average_reference(len(bank.ch_names))
    index = bank.anatomy.space(bank.space).index.numpy()
    own = bank.anatomy
    drawn = bank.draw(1, 0)[0]
    bases, moments = [], []
    for skull in SKULLS:
        seen = bank._seen(bank.electrodes, float(skull), (0, 0), drawn.spread)
        axes = np.eye(3)
        parts = [seen(own.positions[index], np.tile(axis, (len(index), 1))) for axis in axes]
        gain = rows @ torch.stack(parts, dim=2).flatten(1)
        moment = gain @ gain.T
        moments.append(moment * len(rows) / moment.trace())
        bases.append(torch.linalg.qr(gain.T.reshape(-1, 3, len(rows)).mT).Q.mT.float())
    return SkullGrid(torch.stack(bases), torch.stack(moments), rows)


def hear(grid: SkullGrid, windows: Tensor, moment: Tensor, noise: float) -> Heard:
    """Weigh the skulls by a recording.

    Parameters
    ----------
    grid : SkullGrid
    windows : Tensor, shape (n_windows, n_electrodes, n_times)
        Any unit.
    moment : Tensor, shape (n_electrodes, n_electrodes)
        Second moment of all data.
    noise : float
        Share of noise in it, 0 to 1.
    """
    parts = principal(grid.rows @ windows)
    n, rest = len(grid.rows), grid.rows @ moment @ grid.rows.T
    rest = rest * n / rest.trace()
    fitted, whole = [], []
    for bases, believed in zip(grid.bases, grid.moments, strict=True):
        fitted.append(-0.5 * n * float(left_by_best(bases, parts).log().sum()))
        model = (1 - noise) * believed + noise * torch.eye(n, dtype=torch.float64)
        whole.append(
            -0.5 * float(torch.linalg.slogdet(model).logabsdet)
            - 0.5 * float(torch.trace(torch.linalg.solve(model, rest)))
        )
    return Heard(np.array(fitted), np.array(whole))


def principal(windows: Tensor) -> Tensor:
    """Strongest components of windows, each window of unit power, (n_windows, n_rows, KEPT)."""
    parts = torch.linalg.svd(windows, full_matrices=False)
    kept = parts.U[:, :, :KEPT] * parts.S[:, None, :KEPT]
    return (kept / parts.S.norm(dim=1)[:, None, None]).float()


def left_by_best(bases: Tensor, parts: Tensor) -> Tensor:
    """Share of every window's power that the best location leaves, shape (n_windows,).

    Parameters
    ----------
    bases : Tensor, shape (n_locations, n_orient, n_rows), float32
        Orthonormal rows.
    parts : Tensor, shape (n_windows, n_rows, n_parts), float32
        From :func:`principal`.
    """
    flat = parts.permute(1, 0, 2).flatten(1)
    seen = (bases.flatten(0, 1) @ flat).square().unflatten(1, (len(parts), -1)).sum(2)
    share = seen.unflatten(0, (-1, bases.shape[1])).sum(1).amax(dim=0)
    return (1 - share).clamp_min(1e-6)


def simulate_recording(
    grid: SkullGrid,
    head: DrawnHead,
    mix: csr_array,
    snr_db: NDArray[np.float64],
    n_times: int,
    noise: float,
    key: int,
) -> Heard:
    """Simulate a recording on a head, and weigh the skulls by it.

    Parameters
    ----------
    grid : SkullGrid
    head : DrawnHead
    mix : csr_array
        From :func:`smoothing`.
    snr_db : array, shape (n_windows,)
        Of every window; one to three vertices are active in each.
    n_times : int
        Samples of a window.
    noise : float
        Share of noise in the resting covariance.
    key : int
        Of the random numbers.
    """
    rng = np.random.default_rng([key, SEEDED])
    fine = head.fine.gain
    fine = fine - fine.mean(dim=0)
    windows = [_window(fine, float(level), n_times, rng) for level in snr_db]
    moment = _rest(fine.numpy(), mix, rng)
    moment = (1 - noise) * moment + noise * _centring(len(moment))
    found = hear(grid, torch.stack(windows), torch.from_numpy(moment), noise)
    return replace(found, skull=head.skull)


def _window(fine: Tensor, snr_db: float, n_times: int, rng: np.random.Generator) -> Tensor:
    """One to three vertices with courses of their own, and noise, (n_electrodes, n_times)."""
    chosen = rng.choice(fine.shape[1], int(rng.integers(1, 4)), replace=False)
    seen = fine[:, chosen] / fine[:, chosen].norm(dim=0)
    strength = torch.from_numpy(rng.uniform(0.5, 1.0, (len(chosen), 1)))
    signal = seen @ (strength * torch.from_numpy(rng.standard_normal((len(chosen), n_times))))
    noise = torch.from_numpy(rng.standard_normal(tuple(signal.shape)))
    noise = noise - noise.mean(dim=0)
    return signal + noise * (signal.norm() / noise.norm()) * 10 ** (-snr_db / 20)


def _rest(fine: NDArray[np.float64], mix: csr_array, rng: np.random.Generator) -> Any:
    """The covariance of cortex that is active everywhere, smooth to an unknown extent."""
    seen = fine.T
    for _ in range(int(rng.integers(SMOOTHEST + 1))):
        seen = mix @ seen
    sources = np.exp(0.5 * rng.standard_normal(len(seen)))
    moment = (seen.T * sources**2) @ seen
    return moment * len(moment) / np.trace(moment)


def _centring(n: int) -> NDArray[np.float64]:
    return np.eye(n) - 1.0 / n


def smoothing(bank: HeadBank) -> csr_array:
    """A vertex of the drawn heads' fine mesh and its neighbours, averaged, (n_vertices,) * 2."""
    edges = mesh_edges(torch.from_numpy(bank.true.faces)).numpy()
    n = len(bank.true.positions)
    near = csr_array((np.ones(len(edges)), edges.T), shape=(n, n))
    near = near + near.T + csr_array((np.ones(n), (np.arange(n), np.arange(n))), shape=(n, n))
    return csr_array(near.multiply(1 / near.sum(axis=1)[:, None]))


@dataclass(frozen=True)
class SkullCalibration:
    """What curves over skulls say of the truth.

    Attributes
    ----------
    names : tuple of str
        Curves that are used: "windows", "rest".
    weight, scale : array, shape (n_features,)
    spread, prior : float
        Standard deviation of the logarithm, of what is left (leave one out) and of all heads.
    n : int
        Recordings that it was learned from.
    """

    names: Named
    weight: NDArray[np.float64]
    scale: NDArray[np.float64]
    spread: float
    prior: float
    n: int

    def says(self, heard: Heard) -> SkullSaid:
        """What a recording says."""
        middle = float((_features([heard], self.names) / self.scale @ self.weight)[0])
        half = 1.645 * self.spread
        return SkullSaid(
            skull=math.exp(middle),
            low=math.exp(middle - half),
            high=math.exp(middle + half),
            told=self.spread < TOLD * self.prior,
            spread=self.spread,
            prior=self.prior,
            n=self.n,
        )


def calibrated(heard: Iterable[Heard], names: Named = ("windows", "rest")) -> SkullCalibration:
    """Learn from simulated recordings what their curves say.

    Raises
    ------
    MajorantError
        If there are too few, or their skulls are not known.
    """
    rows = list(heard)
    if len(rows) < 20 or any(row.skull is None for row in rows):
        raise MajorantError(
            f"{len(rows)} recordings were given to learn from; expected at least 20 with known "
            "skulls"
        )
    y = np.log([float(row.skull or 0) for row in rows])
    x = _features(rows, names)
    scale = np.r_[1.0, x[:, 1:].std(axis=0)]
    z = x / scale
    penalty = RIDGE * np.eye(z.shape[1])
    penalty[0, 0] = 0.0
    inverse = np.linalg.inv(z.T @ z + penalty)
    weight = inverse @ z.T @ y
    leverage = np.einsum("ij,jk,ik->i", z, inverse, z)
    left = (y - z @ weight) / (1 - leverage)
    return SkullCalibration(names, weight, scale, float(left.std()), float(y.std()), len(rows))


def _features(rows: Sequence[Heard], names: Named) -> NDArray[np.float64]:
    """A constant, and slope, bend and twist of every curve."""
    parts: list[Any] = [np.ones((len(rows), 1))]
    for name in names:
        values = np.array([getattr(row, name) for row in rows])
        base = np.polynomial.legendre.legvander(np.linspace(-1, 1, values.shape[1]), 3)
        parts.append((values @ np.linalg.pinv(base).T)[:, 1:])
    return np.concatenate(parts, axis=1)
