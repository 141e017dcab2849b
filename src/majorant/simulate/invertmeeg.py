"""The published benchmark of invertmeeg as data: focal, several, extended and noisy sources.

The recipe is followed from its description, with the package itself neither used nor copied: 32
BioSemi electrodes on fsaverage, one source a vertex of the ico2 mesh (324), 50 samples in time, 50
samples of each set.

- *focal*: one vertex, 3 to 5 dB. *several*: two to four vertices, 1 to 3 dB.
- *extended*: two to four contiguous patches of 1 to 60 vertices, grown at random, that fall off as
  a Gaussian (0.8 to 2 steps) from one centre or, half of them, from two with courses of their own;
  1 to 3 dB.
- *noisy*: one to three vertices, or vertices smeared once over the graph, -5 to 0 dB.

Courses are power-law noise of exponents 0 to 3 with a largest value of one, mixed to correlate by
.25 to .75; amplitudes .5 to 1; sensor noise is white, and its covariance is estimated from 200
samples and shrunk by .05. The decibels are ``10 log10`` of the ratio of powers. As everywhere here
a sample is a function of its set, the seed and its number, and data are average-referenced.

Data are made and inverted on one head and one mesh, as published. That is an inverse crime, which
`majorant bench everyday` does not commit: take these data to compare with published tables.

Source: invertmeeg 1.1 (Hecker, https://github.com/LukeTheHecker/invert), its benchmark's settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array
from scipy.sparse.csgraph import dijkstra, laplacian
from torch import Tensor

from majorant.forward.leadfield import Leadfield, average_reference
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.randomness import takes_rng

__all__ = ["RECIPES", "InvertMEEG", "InvertMEEGBatch", "InvertMEEGRecipe", "RecipeName"]

RecipeName = Literal["focal", "several", "extended", "noisy"]
Array = NDArray[np.float64]

N_TIMES = 50
N_SAMPLES = 50
EXPONENTS = (0.0, 3.0)
AMPLITUDES = (0.5, 1.0)
CORRELATIONS = (0.25, 0.75)
EXTENT = (1, 60)
FALLOFF_STEPS = (0.8, 2.0)
DIFFUSED = 0.1
BASELINE, SHRUNK = 200, 0.05


@dataclass(frozen=True)
class InvertMEEGRecipe:
    """What the samples of a set are drawn from.

    Attributes
    ----------
    n_sources : tuple of int
        Fewest and most.
    orders : int
        How often a vertex may be smeared over the graph: sources of every order below are drawn.
    patches : bool
        Whether sources are contiguous patches instead.
    snr_db : tuple of float
        ``10 log10`` of the ratio of powers.
    """

    n_sources: tuple[int, int]
    snr_db: tuple[float, float]
    orders: int = 1
    patches: bool = False


RECIPES: Mapping[str, InvertMEEGRecipe] = MappingProxyType(
    {
        "focal": InvertMEEGRecipe((1, 1), (3.0, 5.0)),
        "several": InvertMEEGRecipe((2, 4), (1.0, 3.0)),
        "extended": InvertMEEGRecipe((2, 4), (1.0, 3.0), patches=True),
        "noisy": InvertMEEGRecipe((1, 3), (-5.0, 0.0), orders=2),
    }
)


@dataclass(frozen=True, eq=False)
class InvertMEEGBatch:
    """Samples and their truth: ``y = L x + e``.

    Attributes
    ----------
    y : Tensor, shape (n_batch, n_sensors - 1, n_times), float64
        In orthonormal coordinates of the average-referenced data.
    x : Tensor, shape (n_batch, n_locations, n_times), float64
    noise_cov : Tensor, shape (n_batch, n_sensors - 1, n_sensors - 1), float64
        As 200 samples of the noise show it, shrunk.
    seeds : Tensor, shape (n_batch, 4), int64
        Centres of the sources, -1 beyond the number of a sample.
    snr_db : Tensor, shape (n_batch,), float64
    index : Tensor, shape (n_batch,), int64
    """

    y: Tensor
    x: Tensor
    noise_cov: Tensor
    seeds: Tensor
    snr_db: Tensor
    index: Tensor

    def __len__(self) -> int:
        return int(self.y.shape[0])


class InvertMEEG:
    """One of the four sets, on any lead field of fixed orientation with neighbours.

    Parameters
    ----------
    recipe : {"focal", "several", "extended", "noisy"}
    leadfield : Leadfield
        The published one is ``template_leadfield("biosemi32", space="ico2", fixed=True)``.
    n : int
    seed : int

    Attributes
    ----------
    leadfield : Leadfield
        The referenced one, which belongs to ``y``.

    Raises
    ------
    MajorantError
        If there is no such recipe, or the lead field has free orientation or no neighbours.
    """

    @takes_rng
    def __init__(
        self,
        recipe: RecipeName,
        leadfield: Leadfield,
        *,
        n: int = N_SAMPLES,
        seed: int = 42,
    ) -> None:
        if recipe not in RECIPES:
            raise MajorantError(f"there is no set {recipe!r}; choose from {', '.join(RECIPES)}")
        if leadfield.n_orient != 1 or len(leadfield.edges) == 0:
            raise MajorantError(
                "these sources need one column a location, and neighbours; take "
                "leadfield.fixed(), built with edges"
            )
        self.recipe, self.settings = recipe, RECIPES[recipe]
        self.n, self.seed = n, seed
        self.leadfield = leadfield.transformed(average_reference(leadfield.n_sensors))

    def __len__(self) -> int:
        return self.n

    @cached_property
    def _graph(self) -> csr_array:
        i, j = self.leadfield.edges.numpy().T
        n = self.leadfield.n_locations
        half = csr_array((np.ones(len(i)), (i, j)), shape=(n, n))
        return half + half.T

    @cached_property
    def _maps(self) -> list[Array]:
        """Columns of every order, (n_locations, n_locations) each, with a largest value of 1."""
        n = self.leadfield.n_locations
        smeared: csr_array = laplacian(self._graph)  # type: ignore[assignment]
        spread = eye_array(n, format="csr") - DIFFUSED * smeared
        maps = [np.eye(n)]
        for _ in range(1, self.settings.orders):
            wider = maps[-1] @ spread
            maps.append(wider / wider.max(axis=0))
        return maps

    def batch(self, index: Tensor | Sequence[int] | range) -> InvertMEEGBatch:
        """Make samples, each from its own number.

        Parameters
        ----------
        index : sequence of int, shape (n_batch,)

        Raises
        ------
        MajorantError
            If a number lies outside the set.
        """
        numbers = [int(k) for k in index]
        if not numbers or min(numbers) < 0 or max(numbers) >= self.n:
            raise MajorantError(f"sample numbers run from 0 to {self.n - 1}; found {index}")
        made = [self._sample(k) for k in numbers]
        y, x, cov, seeds, snr = (np.stack(part) for part in zip(*made, strict=True))
        return InvertMEEGBatch(
            *(torch.from_numpy(a) for a in (y, x, cov, seeds, snr)),
            index=torch.tensor(numbers),
        )

    def problem(self, batch: InvertMEEGBatch) -> Problem:
        """What a solver may see: everything whitened by the covariance of its sample."""
        whitener = torch.linalg.inv(torch.linalg.cholesky(batch.noise_cov))
        gain, geometry = self.leadfield.gain, self.leadfield.geometry
        lead = whitener @ gain
        operator = MatrixOperator(lead[0] if len(batch) == 1 else lead, geometry=geometry)
        return Problem(operator, whitener @ batch.y)

    def _sample(self, number: int) -> tuple[Array, Array, Array, NDArray[np.int64], np.float64]:
        rng = np.random.default_rng([self.seed, list(RECIPES).index(self.recipe), number])
        low, high = self.settings.n_sources
        count = int(rng.integers(low, high + 1))
        mixing = np.full((count, count), rng.uniform(*CORRELATIONS))
        np.fill_diagonal(mixing, 1.0)
        mixing = np.linalg.cholesky(mixing)
        amplitudes = rng.uniform(*AMPLITUDES, count)
        x = np.zeros((self.leadfield.n_locations, N_TIMES))
        seeds = np.full(RECIPES["several"].n_sources[1], -1)
        parts = [self._source(rng) for _ in range(count)]
        for layer in range(max(len(maps) for maps, _ in parts)):
            waves = mixing @ (amplitudes[:, None] * _power_law(rng, count))
            for k, (maps, _) in enumerate(parts):
                if layer < len(maps):
                    x += maps[layer][:, None] * waves[k] / len(maps)
        seeds[:count] = [seed for _, seed in parts]
        signal = self.leadfield.gain.numpy() @ x
        noise = rng.standard_normal(signal.shape)
        snr_db = rng.uniform(*self.settings.snr_db)
        scale = np.linalg.norm(signal) / np.linalg.norm(noise) * 10 ** (-snr_db / 20)
        baseline = np.cov(scale * rng.standard_normal((len(signal), BASELINE)))
        level = np.trace(baseline) / len(signal)
        cov = (1 - SHRUNK) * baseline + SHRUNK * level * np.eye(len(signal))
        return signal + scale * noise, x, cov, seeds, np.float64(snr_db)

    def _source(self, rng: np.random.Generator) -> tuple[list[Array], int]:
        """Maps of one source, each with a course of its own, and the centre of the first."""
        if not self.settings.patches:
            seed = int(rng.integers(self.leadfield.n_locations))
            return [self._maps[int(rng.integers(self.settings.orders))][:, seed]], seed
        region = self._grown(rng, int(rng.integers(EXTENT[0], EXTENT[1] + 1)))
        width = rng.uniform(*FALLOFF_STEPS)
        centres = rng.permutation(region)[: int(rng.integers(1, 3))]
        inside = self._graph[region][:, region]
        steps = dijkstra(inside, unweighted=True, indices=np.searchsorted(region, centres))
        maps = np.zeros((len(centres), self.leadfield.n_locations))
        maps[:, region] = np.exp(-0.5 * (steps / width) ** 2)
        return list(maps), int(centres[0])

    def _grown(self, rng: np.random.Generator, size: int) -> NDArray[np.int64]:
        """A contiguous set of vertices, grown at random, in order."""
        chosen = [int(rng.integers(self.leadfield.n_locations))]
        rim: set[int] = set()
        while len(chosen) < size:
            rim |= set(self._graph[[chosen[-1]]].indices.tolist())
            rim -= set(chosen)
            if not rim:
                break
            chosen.append(int(rng.choice(sorted(rim))))
        return np.array(sorted(chosen))


def _power_law(rng: np.random.Generator, count: int) -> Array:
    """Noise of power ``1 / f^b``, b between 0 and 3, largest value 1, (count, n_times)."""
    exponent = rng.uniform(*EXPONENTS, (count, 1))
    spectrum = np.fft.rfft(rng.standard_normal((count, N_TIMES)))
    spectrum[:, 1:] *= np.fft.rfftfreq(N_TIMES)[1:] ** (-exponent / 2)
    waves = np.fft.irfft(spectrum, n=N_TIMES)
    return waves / np.abs(waves).max(axis=1, keepdims=True)
