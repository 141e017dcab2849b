"""Two patches at once: what weights that were trained on one patch make of them.

Every sample has the patch that the single-patch sample of its number has, and another one so far
off that the zones of the two do not overlap. Both have the same peak. Metrics are taken for each
seed in its own zone and at its own peak, as those of one patch are, and averaged over the two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.metrics.localisation import ZONE_HOPS, Localisation, Scores
from majorant.problem import MajorantError
from majorant.randomness import takes_rng
from majorant.simulate import streams
from majorant.simulate.dataset import PATCH, WAVEFORM, Batch, Part, SereegaLike
from majorant.simulate.general import Several
from majorant.simulate.waveforms import draw_gaussians, gaussians

OTHER, OTHER_WAVEFORM = 30, 31
FAINT = 0.01
"""Share of the peak below which the other patch does not count as active."""


@dataclass(frozen=True)
class Two(Several):
    """Samples of two patches.

    Attributes
    ----------
    seeds : Tensor, shape (n_batch, 2), int64
    """

    seeds: Tensor


class TwoPatches(SereegaLike):
    """SEREEGA-type data with two patches far from each other, 5 dB for both together.

    Parameters
    ----------
    leadfield : Leadfield
    n, seed : int
    part : {"train", "validation", "test"}
    at_once : bool
        Whether both have one waveform, or each its own.
    device : str

    Raises
    ------
    MajorantError
        If no location is far enough from some other.
    """

    @takes_rng
    def __init__(
        self,
        leadfield: Leadfield,
        n: int,
        seed: int = 333,
        *,
        part: Part = "test",
        at_once: bool = True,
        device: str = "cpu",
    ) -> None:
        super().__init__(leadfield, n, seed, part=part, device=device)
        self.at_once = at_once
        far = leadfield.hops() > 2 * ZONE_HOPS
        if not bool(far.any(1).all()):
            raise MajorantError(
                f"two patches need locations more than {2 * ZONE_HOPS} edges apart; this source "
                "space is too small"
            )
        self._far = far.to(self.device)

    def batch(self, index: Tensor | Sequence[int] | range, epoch: int = 0) -> Two:
        """Make samples; see :meth:`majorant.simulate.dataset.SimulatedPairs.batch`."""
        chosen, key = self.chosen(index)
        seed, row = (draw[:, 0] for draw in self.patches.draw(streams.fork(key, PATCH)))
        other, its_row = self._other(seed, streams.fork(key, OTHER))
        seeds, rows = torch.stack([seed, other], 1), torch.stack([row, its_row], 1)
        width, centre = draw_gaussians(streams.fork(key, WAVEFORM), self.settings.waveform)
        second = WAVEFORM if self.at_once else OTHER_WAVEFORM
        its_width, its_centre = draw_gaussians(streams.fork(key, second), self.settings.waveform)
        widths, centres = torch.stack([width, its_width], 1), torch.stack([centre, its_centre], 1)
        times = gaussians(widths, centres, self.settings.waveform, self.dtype)
        signal = self._topographies[rows, seeds].mT @ times
        snr_db = torch.full_like(width, self.settings.snr_range[0])
        y = self.recorded(signal, snr_db, key, epoch)
        scale, spaces = self.largest(y), self.patches.maps(seeds, rows)
        return Two(
            y=y / scale[:, None, None],
            space=spaces[:, 0],
            time=times[:, 0],
            index=chosen,
            seed=seed,
            order=self.patches.orders[row],
            width=width,
            centre=centre,
            snr_db=snr_db,
            scale=scale,
            spaces=spaces,
            times=times,
            seeds=seeds,
        )

    def _other(self, seed: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Draw the second seed, uniform over what is far enough from the first, and its order."""
        far = self._far[seed]
        share = streams.uniform(streams.fork(key, 1), 1)
        place = (share * far.sum(1, keepdim=True)).ceil().clamp_min_(1.0)
        seed = (far.cumsum(1) >= place).to(torch.int8).argmax(1)
        row = streams.integers(streams.fork(key, 2), 1, len(self.patches.orders))[:, 0]
        return seed, row


def score_each(judge: Localisation, batch: Batch, estimate: Tensor) -> Scores:
    """Judge an estimate at both seeds and average; a patch counts where it has 1 % of its peak.

    Parameters
    ----------
    judge : Localisation
    batch : Two
    estimate : Tensor, shape (n_batch, n_locations, n_times)
    """
    assert isinstance(batch, Two)
    truth = batch.x
    truth = torch.where(truth.abs() >= FAINT, truth, 0.0)
    one, two = (judge.score(truth, estimate, seed) for seed in batch.seeds.T)
    names = [f.name for f in dataclasses.fields(Scores) if f.name != "empty"]
    means = {name: 0.5 * (getattr(one, name) + getattr(two, name)) for name in names}
    return Scores(**means, empty=one.empty | two.empty)
