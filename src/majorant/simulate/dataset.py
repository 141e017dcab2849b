"""Pairs of sources and data, made on the fly.

Nothing dense is stored: a sample is a patch number, a waveform and a noise key, all of them
functions of (seed, part, index, epoch). So a sample does not depend on the batch it comes in, a
data set costs a few megabytes whatever its length, and a batch is made on the training device
without a loop over its samples.

Source: the SEREEGA-type simulations of the MM-Net paper: one patch, one Gaussian waveform, white
noise at 5 dB.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield, average_reference
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.randomness import takes_rng
from majorant.simulate import noise, streams
from majorant.simulate.patches import PatchBank, PatchSettings
from majorant.simulate.waveforms import GaussianSettings, draw_gaussians, gaussians

Part = Literal["train", "validation", "test"]
SIZES: dict[str, int] = {"train": 8_000, "validation": 2_000, "test": 2_000}
"""Samples of each part: 10,000 split 80/20, and a test set of its own, as in the paper."""

PATCH, WAVEFORM, NOISE, LEVEL, SHUFFLE = range(5)


@dataclass(frozen=True)
class SereegaSettings:
    """The SEREEGA-type recipe.

    Attributes
    ----------
    patch : PatchSettings
    waveform : GaussianSettings
    snr_db : float or tuple of float
        Signal-to-noise ratio in dB, ``20 log10`` of the ratio of Frobenius norms, of the
        referenced data; a pair is a range that every sample draws from uniformly.
    reference : {"average", "centred", "none"}
        ``"average"`` maps data and lead field to the ``n - 1`` orthonormal coordinates of the
        average-referenced space: nothing is lost, the noise covariance is the identity of full
        rank, and solvers see what they see of real recordings. ``"centred"`` keeps ``n`` rows of
        rank ``n - 1``. ``"none"`` takes the lead field as it comes (referenced already, whitened,
        or MEG).
    rescale_range : bool
        Map the noisy data affinely to a span equal to the clean data's, as the public reference
        implementation does. It adds the same offset to every channel, which the coordinates of
        ``"average"`` cannot hold; use it with another reference.
    """

    patch: PatchSettings = field(default_factory=PatchSettings)
    waveform: GaussianSettings = field(default_factory=GaussianSettings)
    snr_db: float | tuple[float, float] = 5.0
    reference: Literal["average", "centred", "none"] = "average"
    rescale_range: bool = False

    def __post_init__(self) -> None:
        if self.reference not in ("average", "centred", "none"):
            raise MajorantError(
                f"the reference is {self.reference!r}; expected 'average', 'centred' or 'none'"
            )
        if self.rescale_range and self.reference == "average":
            raise MajorantError(
                "rescale_range shifts all channels alike, which average-referenced coordinates "
                "cannot hold; take reference='centred'"
            )

    @property
    def snr_range(self) -> tuple[float, float]:
        """Lowest and highest signal-to-noise ratio, dB."""
        level = self.snr_db
        return level if isinstance(level, tuple) else (level, level)


@dataclass(frozen=True)
class Batch:
    """Simulated samples, their truth and how they were made.

    Attributes
    ----------
    y : Tensor, shape (n_batch, n_sensors, n_times)
        Data, unitless: the largest electrode value of a sample is 1.
    space : Tensor, shape (n_batch, n_locations)
        The patch; 1 at the seed.
    time : Tensor, shape (n_batch, n_times)
        The waveform; 1 at its centre.
    index : Tensor, shape (n_batch,), int64
        Sample numbers.
    seed : Tensor, shape (n_batch,), int64
        Location at the centre of the patch.
    order : Tensor, shape (n_batch,), int64
        Radius of the patch in mesh edges.
    width, centre : Tensor, shape (n_batch,)
        Of the waveform, ms.
    snr_db : Tensor, shape (n_batch,)
    scale : Tensor, shape (n_batch,)
        What the data were divided by: ``scale y = L x + e``, V for sources in A m.
    """

    y: Tensor
    space: Tensor
    time: Tensor
    index: Tensor
    seed: Tensor
    order: Tensor
    width: Tensor
    centre: Tensor
    snr_db: Tensor
    scale: Tensor

    @property
    def x(self) -> Tensor:
        """The sources, shape (n_batch, n_locations, n_times), largest value 1; made anew."""
        return self.sources().contiguous()

    def sources(self, grid: Tensor | None = None) -> Tensor:
        """The sources on another time grid, locations contiguous in memory.

        Parameters
        ----------
        grid : Tensor or None, shape (n_times, n_others)
            Maps time courses; None keeps their samples.

        Returns
        -------
        Tensor, shape (n_batch, n_locations, n_others)
        """
        time = self.time if grid is None else self.time @ grid
        return (time[:, :, None] * self.space[:, None, :]).mT

    def __len__(self) -> int:
        return int(self.y.shape[0])


class SimulatedPairs(ABC):
    """A data set of pairs: what training, benchmarks and audits ask of one, whatever its recipe.

    A sample is a function of its number, the seed and the part of the data set.

    Parameters
    ----------
    leadfield : Leadfield
        Fixed orientation, with neighbours.
    n : int or None
        Number of samples; None takes the size of the part.
    seed : int
    part : {"train", "validation", "test"}
    patch : PatchSettings
    reference : {"average", "centred", "none"}
        See :class:`SereegaSettings`.
    device, dtype
        Where and in what precision batches are made.

    Attributes
    ----------
    leadfield : Leadfield
        The referenced one: give this to solvers, it belongs to ``y``.
    patches : PatchBank
    redraw : bool
        Whether noise is drawn anew in every epoch: for training only, unless set otherwise.

    Raises
    ------
    MajorantError
        If orientation is free, there are no edges, or the sensors see nothing of a patch.
    """

    def __init__(
        self,
        leadfield: Leadfield,
        n: int | None,
        seed: int,
        part: Part,
        patch: PatchSettings,
        reference: str,
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> None:
        if part not in SIZES:
            raise MajorantError(f"there is no part {part!r}; choose from {', '.join(SIZES)}")
        if leadfield.n_orient != 1:
            raise MajorantError(
                "simulations need one column per location; this lead field has free orientation: "
                "take leadfield.fixed()"
            )
        self.seed = seed
        self.part: Part = part
        self.n = SIZES[part] if n is None else n
        if self.n < 1:
            raise MajorantError(f"a data set of {self.n} samples is empty; give n of at least 1")
        self.redraw = part == "train"
        self.device, self.dtype = torch.device(device), dtype
        self.leadfield, electrodes = _referenced(leadfield, reference)
        bank = PatchBank.grow(leadfield, patch)
        topographies = bank.topographies(self.leadfield.gain)
        visible = topographies.norm(dim=2)
        if not bool(visible.amin() > 1e-12 * leadfield.gain.norm()):
            raise MajorantError("the sensors see nothing of some patch; drop zero columns first")
        self.patches = bank.to(self.device, dtype)
        self._topographies = topographies.to(self.device, dtype)
        self._electrodes = None if electrodes is None else electrodes.to(self.device, dtype)

    @property
    @abstractmethod
    def sfreq(self) -> float:
        """Sampling rate, Hz."""

    @property
    @abstractmethod
    def n_times(self) -> int:
        """Samples of a waveform."""

    @abstractmethod
    def batch(self, index: Tensor | Sequence[int] | range, epoch: int = 0) -> Batch:
        """Make samples.

        Parameters
        ----------
        index : sequence of int, shape (n_batch,)
            Which ones, in any order.
        epoch : int
            Noise of training samples depends on it; nothing else does.

        Raises
        ------
        MajorantError
            If an index lies outside the data set.
        """

    def __len__(self) -> int:
        return self.n

    def operator(self) -> MatrixOperator:
        """Return the operator that belongs to ``y``, on the device of the batches."""
        gain = self.leadfield.gain.to(self.device, self.dtype)
        return MatrixOperator(gain, self.leadfield.n_orient, self.leadfield.geometry)

    @property
    def turns(self) -> int:
        """Heads that take turns: one."""
        return 1

    def turn(self, step: int) -> SimulatedPairs:
        """Return whose turn it is to make a batch, where a data set has several heads."""
        return self

    def problem(self, batch: Batch) -> Problem:
        """Return what a solver may see of a batch: the operator and the data."""
        return Problem(self.operator(), batch.y)

    def chosen(self, index: Tensor | Sequence[int] | range) -> tuple[Tensor, Tensor]:
        """Return sample numbers on the device, and their keys, both (n_batch,) int64."""
        chosen = torch.as_tensor(index, dtype=torch.int64).flatten()
        if len(chosen) == 0 or int(chosen.min()) < 0 or int(chosen.max()) >= self.n:
            raise MajorantError(f"sample numbers run from 0 to {self.n - 1}; found {index}")
        if self.device.type != "cpu":  # from pinned memory the copy waits for nothing
            chosen = chosen.pin_memory().to(self.device, non_blocking=True)
        return chosen, streams.keys(self.seed, chosen, list(SIZES).index(self.part))

    def largest(self, y: Tensor) -> Tensor:
        """Return the largest electrode value of every sample, (n_batch,)."""
        return (y if self._electrodes is None else self._electrodes @ y).abs().amax(dim=(1, 2))

    def batches(self, size: int, *, epoch: int = 0, shuffle: bool = False) -> Iterator[Batch]:
        """Go through the data set once.

        Parameters
        ----------
        size : int
            Samples a batch; the last one may be smaller.
        epoch : int
            See :meth:`batch`; also decides the order.
        shuffle : bool
            Whether to go in an order of its own in every epoch.
        """
        order = self.permutation(epoch) if shuffle else torch.arange(self.n)
        for chosen in order.split(size):
            yield self.batch(chosen, epoch)

    def permutation(self, epoch: int) -> Tensor:
        """Return the order of an epoch, shape (n,), int64, the same on every device."""
        key = streams.keys(self.seed, torch.zeros(1, dtype=torch.int64), SHUFFLE, epoch)
        return streams.bits(key, self.n)[0].argsort()


class SereegaLike(SimulatedPairs):
    """A data set of SEREEGA type on any source space.

    Parameters
    ----------
    leadfield : Leadfield
        Fixed orientation, with neighbours.
    n : int, optional
        Number of samples; 8,000, 2,000 and 2,000 for the three parts. Length costs nothing.
    seed : int
        Parts and seeds give unrelated samples.
    part : {"train", "validation", "test"}
    settings : SereegaSettings, optional
    device, dtype
        Where and in what precision batches are made.

    Attributes
    ----------
    leadfield : Leadfield
        The referenced one: give this to solvers, it belongs to ``y``.
    patches : PatchBank

    Raises
    ------
    MajorantError
        If orientation is free, there are no edges, or the sensors see nothing of a patch.
    """

    @takes_rng
    def __init__(
        self,
        leadfield: Leadfield,
        n: int | None = None,
        seed: int = 333,
        *,
        part: Part = "train",
        settings: SereegaSettings | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.settings = settings or SereegaSettings()
        patch, reference = self.settings.patch, self.settings.reference
        super().__init__(leadfield, n, seed, part, patch, reference, device, dtype)

    @property
    def sfreq(self) -> float:
        """Sampling rate, Hz."""
        return self.settings.waveform.sfreq

    @property
    def n_times(self) -> int:
        """Samples of a waveform."""
        return self.settings.waveform.n_times

    def batch(self, index: Tensor | Sequence[int] | range, epoch: int = 0) -> Batch:
        """Make samples; see :meth:`SimulatedPairs.batch`."""
        chosen, key = self.chosen(index)
        seed, row = (draw[:, 0] for draw in self.patches.draw(streams.fork(key, PATCH)))
        width, centre = draw_gaussians(streams.fork(key, WAVEFORM), self.settings.waveform)
        time = gaussians(width, centre, self.settings.waveform, self.dtype)
        signal = self._topographies[row, seed][:, :, None] * time[:, None, :]
        low, high = self.settings.snr_range
        snr_db = low + (high - low) * streams.uniform(streams.fork(key, LEVEL), 1)[:, 0]
        y = self.recorded(signal, snr_db, key, epoch)
        scale = self.largest(y)
        return Batch(
            y=y / scale[:, None, None],
            space=self.patches.maps(seed, row),
            time=time,
            index=chosen,
            seed=seed,
            order=self.patches.orders[row],
            width=width,
            centre=centre,
            snr_db=snr_db,
            scale=scale,
        )

    def recorded(self, signal: Tensor, snr_db: Tensor, key: Tensor, epoch: int) -> Tensor:
        """Return signals with the noise of their samples, (n_batch, n_sensors, n_times)."""
        of_noise = streams.fork(streams.fork(key, NOISE), epoch if self.redraw else 0)
        drawn = noise.white(of_noise, signal.shape[1], signal.shape[2], self.dtype)
        if self.settings.reference == "centred":
            drawn = drawn - drawn.mean(dim=1, keepdim=True)
        y = signal + noise.at_snr(signal, drawn, snr_db)
        return _rescaled(y, signal) if self.settings.rescale_range else y


def _referenced(leadfield: Leadfield, reference: str) -> tuple[Leadfield, Tensor | None]:
    """Return the referenced lead field and the way back to the electrodes (None: the identity)."""
    if reference == "none":
        return leadfield, None
    basis = average_reference(leadfield.n_sensors)
    if reference == "average":
        return leadfield.transformed(basis), basis.T
    return leadfield.transformed(basis.T @ basis), None


def _rescaled(y: Tensor, clean: Tensor) -> Tensor:
    """Stretch about the smallest value until the span equals that of the clean data."""
    low, high = y.amin(dim=(1, 2), keepdim=True), y.amax(dim=(1, 2), keepdim=True)
    span = clean.amax(dim=(1, 2), keepdim=True) - clean.amin(dim=(1, 2), keepdim=True)
    return (y - low) * (span / (high - low)) + low
