"""An imager on simulated recordings: its bank of heads, its cortex, its window, its estimates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor

from majorant import __version__
from majorant.errors import MajorantError
from majorant.files.archive import content_hash
from majorant.findings.regions.scores import LINEAR, OTHERS, Density
from majorant.forward.bank import BELIEVED_SKULL, HeadBank, HeadSpread
from majorant.forward.bem import SKULLS
from majorant.head.model import as_tensor
from majorant.head.places import Places, locate
from majorant.head.template import child_of
from majorant.imager.estimate import combined
from majorant.imager.inverse import Job
from majorant.simulate.sparse import homes

if TYPE_CHECKING:
    from majorant.imager.imager import SourceImager

__all__ = ["CalibratedCortex", "Simulated", "Window", "cortex_of", "why_not"]

MOST_SAMPLES = 100
"""Samples of a simulated window: longer ones are simulated at a lower rate."""
STEP_DB = 5.0
"""Levels are calibrated in steps."""
LEVELS_DB = (-10.0, 25.0)
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
    own = "Regions are calibrated on heads around the template"
    if imager.alignment_ is None or imager.leadfield_.subject != "fsaverage":
        return f"{own}, and this is another head: there are none for it yet."
    if imager.heads > 1:
        return (
            "Regions are calibrated on estimates of one head, and this one is a mean over "
            f"{imager.heads}: there are none for it yet."
        )
    if imager.alignment_.by == "warp":
        return f"{own}, and this one was warped to the person; take head='template' to have them."
    if imager.alignment_.age is not None and child_of(imager.age) is not None:
        return f"{own} of an adult, and this one is a child's: there are none for it yet."
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
    """

    imager: SourceImager
    bank: HeadBank
    cortex: CalibratedCortex
    nave: int

    @classmethod
    def of(cls, imager: SourceImager, nave: int) -> Simulated:
        """Find the bank and the cortex of a fitted imager.

        Raises
        ------
        MajorantError
            If it has a head that the bank does not know.
        """
        reason, alignment = why_not(imager), imager.alignment_
        if reason is not None or alignment is None:
            raise MajorantError(f"no regions can be had: {reason}")
        from majorant.forward.template_bank import template_anatomy

        # Electrodes lie where the template has them: the believed head is that of the imager.
        bank = HeadBank(template_anatomy(), alignment.ch_names, alignment.positions)
        bank = bank.pick(imager.info_["ch_names"])
        return cls(imager, bank, cortex_of(imager, bank), nave)

    @property
    def density(self) -> Density:
        """What places are ranked by."""
        return LINEAR if self.imager.spec_.abilities.kernel else OTHERS

    @property
    def spread(self) -> HeadSpread:
        """In what heads differ: skulls conduct around what is believed."""
        usual = HeadSpread()
        factor = (self.imager.skull or BELIEVED_SKULL) / BELIEVED_SKULL
        low, high = (min(max(factor * k, SKULLS[0]), SKULLS[1]) for k in usual.skull)
        return replace(usual, skull=(low, high))

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
        size = float(f"{float(self.rows.abs().max()):.6g}")
        return content_hash([*parts, size, repr(window), repr(self.density), n, seed])


def cortex_of(imager: SourceImager, bank: HeadBank) -> CalibratedCortex:
    """Areas and depths of the locations of an imager on the template."""
    lead = imager.leadfield_
    places = locate(lead)
    home = homes(bank.believed_fine, lead).numpy()
    inside = home >= 0
    area = np.zeros(lead.n_locations)
    np.add.at(area, home[inside], _vertex_areas()[inside])
    away = KDTree(bank.electrodes).query(lead.positions.numpy())[0]
    order = np.argsort(away, kind="stable")
    share = np.empty(len(away))
    share[order] = (np.cumsum(area[order]) - area[order] / 2) / area.sum()
    return CalibratedCortex(places, area, np.minimum((3 * share).astype(np.int64), 2), home)


def _vertex_areas() -> NDArray[np.float64]:
    """A third of the area of every triangle around a vertex of the fine mesh, cm2."""
    from majorant.forward.template import template_surfaces

    surfaces, out = template_surfaces(), []
    for points, faces in zip(surfaces.mid, surfaces.faces, strict=True):
        a, b, c = (1e2 * points[faces[:, k]].astype(float) for k in range(3))
        size = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
        out.append(np.bincount(faces.ravel(), np.repeat(size / 3, 3), minlength=len(points)))
    return np.concatenate(out)
