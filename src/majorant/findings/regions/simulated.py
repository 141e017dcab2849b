"""An imager on simulated recordings: its bank of heads, its cortex, its window, its estimates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor

from majorant import __version__
from majorant.errors import MajorantError
from majorant.files.archive import content_hash
from majorant.findings.regions.scores import LINEAR, OTHERS, Density
from majorant.findings.regions.support import Seen
from majorant.forward.bank import HeadBank, HeadSpread
from majorant.forward.leadfield import Leadfield
from majorant.head.elsewhere import spread_around
from majorant.head.model import as_tensor
from majorant.head.places import Places, locate
from majorant.imager.estimate import combined
from majorant.imager.inverse import Job
from majorant.simulate.sparse import homes

if TYPE_CHECKING:
    from majorant.head.skull import SkullSaid
    from majorant.imager.imager import SourceImager

__all__ = ["CalibratedCortex", "Simulated", "Window", "cortex_of", "why_not"]

MOST_SAMPLES = 100
"""Samples of a simulated window: longer ones are simulated at a lower rate."""
STEP_DB = 2.0
"""Levels are calibrated in steps: coarser ones cover too much, for the lowest level of a step has
the largest scores."""
LEVELS_DB = (-10.0, 25.0)
ALIKE = 0.8
"""Correlation of topographies below which the bank is not one around the head that is believed."""
AT_ONCE = 64_000_000
"""Bytes of estimates that are solved in one batch."""

Progress = Callable[[int, int], None] | None
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CalibratedCortex:
    """Locations of an estimate as cortex.

    Attributes
    ----------
    places : Places
    area : array, shape (n_locations,)
        cm2 of the surface half way between white matter and pia.
    third : array, shape (n_locations,)
        Third of the distance from the nearest electrode, by area: 0 is near, 2 is deep or basal.
    home : array, shape (n_vertices,)
        Location of every vertex of the fine mesh, -1 for none.
    """

    places: Places
    area: NDArray[np.float64]
    third: Index
    home: Index


@dataclass(frozen=True)
class Window:
    """The window of a recording, as it is simulated.

    Attributes
    ----------
    n_times, before : int
        Samples, and those before the event.
    sfreq : float
        Hz.
    level_db : float
        Power of the signal over that of the noise, dB, to the step.
    """

    n_times: int
    before: int
    sfreq: float
    level_db: float

    @classmethod
    def of(cls, y: Tensor, times: NDArray[np.float64], sfreq: float) -> Window:
        """Describe whitened data (rank, n_times)."""
        step = max(1, -(-len(times) // MOST_SAMPLES))
        after = times[::step] >= 0 if times[-1] > 0 else np.ones(len(times[::step]), bool)
        power = max(float(y.square().mean()) - 1.0, 1e-9)
        level = float(np.clip(10.0 * np.log10(power), *LEVELS_DB))
        return cls(
            len(after), int(np.argmax(after)), sfreq / step, STEP_DB * round(level / STEP_DB)
        )

    @property
    def times(self) -> NDArray[np.float64]:
        """Of the samples, s."""
        return (np.arange(self.n_times) - self.before) / self.sfreq


def why_not(imager: SourceImager) -> str | None:
    """Why an imager's estimates have no regions, as a sentence; None where they have."""
    if imager.around_ is None:
        return (
            "Regions are calibrated on heads drawn around the believed one, and of this one too "
            "little is known: fit to EEG on the template, with a subject that has sphere.reg, or "
            "with a forward of a cortex and its mesh."
        )
    return None


@dataclass(frozen=True, eq=False)
class Simulated:
    """An imager on simulated recordings.

    Attributes
    ----------
    imager : SourceImager
    bank : HeadBank
        Of its electrodes.
    cortex : CalibratedCortex
    nave : int
        Trials behind the data.
    said : SkullSaid or None
        What a recording says of the skull: heads are drawn as often as it makes them likely.
    """

    imager: SourceImager
    bank: HeadBank
    cortex: CalibratedCortex
    nave: int
    said: SkullSaid | None = None

    @classmethod
    def of(cls, imager: SourceImager, nave: int, said: SkullSaid | None = None) -> Simulated:
        """Find the bank and the cortex of a fitted imager.

        Raises
        ------
        MajorantError
            If nothing is known of its head but the lead field.
        """
        if imager.around_ is None:
            raise MajorantError(f"no regions can be had: {why_not(imager)}")
        bank = imager.around_().pick(imager.info_["ch_names"])
        own = cls(imager, bank, cortex_of(imager, bank), nave, said)
        if imager.alignment_ is None and (found := own.alike()) < ALIKE:
            raise MajorantError(
                "no regions can be had: the lead field is not what its electrodes would see of its "
                f"cortex in a head of usual shells (median correlation {found:.2f}, at least "
                f"{ALIKE:g} is expected); check that electrodes and forward share their frame"
            )
        return own

    def alike(self) -> float:
        """Median correlation over locations of the imager's topographies and the bank's."""
        lead, home = self.imager.leadfield_, torch.as_tensor(self.cortex.home)
        fine, kept = self.bank.believed_fine.gain, home >= 0
        ours = fine.new_zeros(len(fine), lead.n_locations)
        ours.index_add_(1, home[kept], fine[:, kept])
        # The normal is the last column of a location, or the only one.
        theirs = lead.gain[:, lead.n_orient - 1 :: lead.n_orient]
        there = (ours.norm(dim=0) > 0) & (theirs.norm(dim=0) > 0)
        both = [part[:, there] - part[:, there].mean(dim=0) for part in (ours, theirs)]
        return float(torch.cosine_similarity(*both, dim=0).median())

    @property
    def density(self) -> Density:
        """What places are ranked by."""
        return LINEAR if self.imager.spec_.abilities.kernel else OTHERS

    @property
    def spread(self) -> HeadSpread:
        """In what heads differ: skulls conduct around what is believed."""
        alignment = self.imager.alignment_
        measured = alignment is None or alignment.by == "warp"
        own = measured or (alignment.age is not None)
        # The template has shapes of the skull that all caps share; other heads would need theirs.
        around = spread_around(self.bank, measured)
        spread = around if own else replace(HeadSpread(), skull=around.skull)
        return spread if self.said is None else self.said.weighted(spread)

    @cached_property
    def seen(self) -> Seen:
        """What the sensors see of every location, in the believed head."""
        return Seen.of(
            self.rows @ self.bank.believed_fine.gain, self.cortex.home, len(self.cortex.area)
        )

    @property
    def rows(self) -> Tensor:
        """From potentials to whitened data."""
        return as_tensor(np.sqrt(self.nave) * self.imager.whitener_)

    def estimates(
        self, y: Tensor, sfreq: float, progress: Progress = None
    ) -> Iterator[NDArray[np.float64]]:
        """Estimates of whitened data (n, rank, n_times), as they are shown, one after the other."""
        imager, n = self.imager, len(y)
        job, columns = Job(self.nave, sfreq, self._snr()), imager.leadfield_.n_columns
        kernel = imager.inverse.kernel(job) if imager.spec_.abilities.linear else None
        most = max(1, AT_ONCE // (8 * columns * y.shape[2]))
        for start in range(0, n, most):
            part = y[start : start + most]
            if kernel is not None:
                solved = kernel.matrix.float() @ part.float()
            else:
                solved = imager.inverse.solve(part, job).estimate
            for one in solved:
                yield combined(one.numpy(), imager.model, None)
            if progress is not None:
                progress(min(start + most, n), n)

    def _snr(self) -> float | None:
        if not self.imager.uses_snr:
            return None
        given = self.imager.snr_ if self.imager.snr_ is not None else self.imager.snr
        return float(given) if not isinstance(given, str) else 3.0

    def key(self, window: Window, n: int, seed: int) -> str:
        """Hash of everything that a calibration depends on."""
        imager = self.imager
        white = content_hash((1e6 * self.rows / self.rows.abs().max()).round().long().tolist())
        settings = replace(imager.settings, subjects_dir=None, region=None)
        parts = [__version__, repr(settings), self._snr(), imager.leadfield_.fingerprint(), white]
        parts += [self.bank.electrodes.round(6).tolist(), repr(self.spread)]
        size = float(f"{float(self.rows.abs().max()):.6g}")
        return content_hash([*parts, size, repr(window), repr(self.density), n, seed])


def cortex_of(imager: SourceImager, bank: HeadBank) -> CalibratedCortex:
    """Areas and depths of the locations of an imager."""
    lead, alignment = imager.leadfield_, imager.alignment_
    places = locate(lead)
    home = homes(bank.believed_fine, lead).numpy()
    inside, areas = home >= 0, _vertex_areas(bank)
    area = np.zeros(lead.n_locations)
    np.add.at(area, home[inside], areas[inside])
    if alignment is None:
        away = KDTree(bank.electrodes).query(_middles(bank.anatomy.positions, home, lead))[0]
    else:
        # Sources of a warped template keep their places, and these are the electrodes there.
        away = KDTree(alignment.positions).query(lead.positions.numpy())[0]
        area *= (alignment.size or 1.0) ** 2
    order = np.argsort(away, kind="stable")
    share = np.empty(len(away))
    share[order] = (np.cumsum(area[order]) - area[order] / 2) / area.sum()
    return CalibratedCortex(places, area, np.minimum((3 * share).astype(np.int64), 2), home)


def _middles(positions: NDArray[np.float64], home: Index, lead: Leadfield) -> NDArray[np.float64]:
    """Where the vertices of every location are, on the mean; of a location without any, a near one.

    Regions have their places on the template, whoever's they are.
    """
    kept, n = home >= 0, lead.n_locations
    total, count = np.zeros((n, 3)), np.bincount(home[kept], minlength=n)
    np.add.at(total, home[kept], positions[kept])
    there, own = np.flatnonzero(count), lead.positions.numpy()
    near = there[KDTree(own[there]).query(own)[1]]
    return total[near] / count[near, None]


def _vertex_areas(bank: HeadBank) -> NDArray[np.float64]:
    """A third of the area of every triangle around a vertex of the fine mesh, cm2.

    Of the template on the surface half way between white matter and pia.
    """
    from majorant.forward.template import template_surfaces

    own = bank.anatomy
    points, faces = own.positions, own.faces
    if own.subject == "fsaverage":
        points = template_surfaces().mid.reshape(-1, 3).astype(float)
    a, b, c = (1e2 * points[faces[:, k]] for k in range(3))
    size = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return np.bincount(faces.ravel(), np.repeat(size / 3, 3), minlength=len(points))
