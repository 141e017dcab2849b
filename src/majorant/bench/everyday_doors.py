"""Solvers as a person calls them: fit to channels and noise, image an average, look at the result.

Every solver of the registry, whoever registered it, goes through `SourceImager` with its defaults.
MNE's RAP-MUSIC, TRAP-MUSIC (Mosher and Leahy 1999; Makela et al. 2018) and its dipole fit stand
beside them as references; what they find is put on the nearest location of the template.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant import registry
from majorant.errors import MajorantError, nearest
from majorant.forward.leadfield import Leadfield

__all__ = ["REFERENCES", "EverydayDoor", "Image", "door", "known"]

REFERENCES = ("rap-music", "trap-music", "dipole-fit")
SINGLE = ("dipole-fit",)
"""References that are only asked about single sources."""


@dataclass(frozen=True, eq=False)
class Image:
    """An estimate, and what it took.

    Attributes
    ----------
    values : array, shape (n_locations, n_times)
    ms : float
        CPU of the call, ms.
    rises, refused : int
        Rises of the energy, and windows whose proposal the guard refused, by the certificate; 0
        of references, which have none.
    """

    values: NDArray[np.float64]
    ms: float
    rises: int = 0
    refused: int = 0


class EverydayDoor(ABC):
    """One solver, fitted.

    Attributes
    ----------
    leadfield : Leadfield
        Whose locations the estimates have.
    """

    leadfield: Leadfield

    @abstractmethod
    def __call__(self, evoked: Any) -> NDArray[np.float64]:
        """Image an average, (n_locations, n_times)."""

    def image(self, evoked: Any) -> Image:
        """Image an average and take the time."""
        start = time.process_time()
        values = self(evoked)
        return Image(values, 1e3 * (time.process_time() - start), *self.tallies())

    def tallies(self) -> tuple[int, int]:
        """Rises and refusals of the last call."""
        return 0, 0


class SolverDoor(EverydayDoor):
    """A solver of the registry behind `SourceImager`, with options of its own where given."""

    def __init__(self, name: str, info: Any, noise_cov: Any, **options: Any) -> None:
        from majorant.imager.imager import SourceImager

        self.imager = SourceImager(name, **options).fit(info, noise_cov=noise_cov)
        self.leadfield = self.imager.leadfield_
        self._rows: NDArray[np.int64] | None = None

    def __call__(self, evoked: Any) -> NDArray[np.float64]:
        stc = self.imager.apply(evoked)
        if self._rows is None:
            self._rows = self._found(stc.vertices)
        return np.asarray(stc.data, dtype=np.float64)[self._rows]

    def tallies(self) -> tuple[int, int]:
        """Rises and refusals of the last call, by its certificate."""
        kept = self.imager.certificate_
        return int(kept.violations.sum()), int(kept.refused.sum())

    def _found(self, vertices: Any) -> NDArray[np.int64]:
        """Row of the estimate for every location (regions are spread over their vertices)."""
        start, rows = 0, np.zeros(self.leadfield.n_locations, dtype=np.int64)
        side, number = self.leadfield.hemisphere.numpy(), self.leadfield.vertices.numpy()
        for hemisphere, own in enumerate(vertices):
            mine = side == hemisphere
            rows[mine] = start + np.searchsorted(own, number[mine])
            start += len(own)
        return rows


class MusicDoor(EverydayDoor):
    """RAP- or TRAP-MUSIC with MNE's defaults: five dipoles of fixed place and direction."""

    def __init__(self, name: str, info: Any, noise_cov: Any) -> None:
        from mne import beamformer

        made = _forward(info)
        self.leadfield, self._forward, self._cov = made.leadfield, made.forward, noise_cov
        self._run = getattr(beamformer, name.replace("-", "_"))

    def __call__(self, evoked: Any) -> NDArray[np.float64]:
        dipoles = self._run(
            evoked.copy().set_eeg_reference("average", projection=True, verbose="error"),
            self._forward,
            self._cov,
            verbose="error",
        )
        values = np.zeros((self.leadfield.n_locations, len(evoked.times)))
        places = self.leadfield.positions.numpy()
        for dipole in dipoles:
            here = np.linalg.norm(places - dipole.pos[0], axis=1).argmin()
            values[here] += np.abs(dipole.amplitude)
        return values


class DipoleDoor(EverydayDoor):
    """MNE's dipole fit at the sample of largest field power, on the template's own shells."""

    def __init__(self, name: str, info: Any, noise_cov: Any) -> None:
        import mne

        made = _forward(info)
        self.leadfield, self._cov = made.leadfield, noise_cov
        where = made.alignment
        placed = dict(zip(where.ch_names, where.positions, strict=True))
        montage = mne.channels.make_dig_montage(placed, coord_frame="head")
        self._info = mne.create_info(list(info["ch_names"]), info["sfreq"], "eeg")
        self._info.set_montage(montage)
        self._bem, self._trans = _shells(), mne.transforms.Transform("head", "mri")

    def __call__(self, evoked: Any) -> NDArray[np.float64]:
        import mne

        moved = mne.EvokedArray(evoked.data, self._info, nave=evoked.nave, verbose="error")
        moved.set_eeg_reference("average", projection=True, verbose="error")
        best = int((evoked.data**2).sum(axis=0).argmax())
        one = moved.copy().crop(moved.times[best], moved.times[best])
        dipole: Any = mne.fit_dipole(one, self._cov, self._bem, self._trans, verbose="error")[0]
        places = self.leadfield.positions.numpy()
        here = int(np.linalg.norm(places - dipole.pos[0], axis=1).argmin())
        columns = self.leadfield.gain.numpy()[:, 3 * here : 3 * here + 3]
        columns = columns - columns.mean(axis=0)
        data = evoked.data - evoked.data.mean(axis=0)
        values = np.zeros((len(places), len(evoked.times)))
        values[here] = np.linalg.norm(np.linalg.lstsq(columns, data, rcond=None)[0], axis=0)
        return values


def known(names: list[str] | None) -> list[str]:
    """The solvers asked for, or all of the registry and the references.

    Raises
    ------
    MajorantError
        If there is none of a name.
    """
    everything = [*registry.SOLVERS, *REFERENCES]
    if names is None:
        return everything
    for name in names:
        if name not in everything:
            raise MajorantError(
                f"there is no solver {name!r}{nearest(name, everything)}; choose from "
                f"{', '.join(everything)}"
            )
    return names


def door(name: str, info: Any, noise_cov: Any) -> EverydayDoor:
    """Fit a solver or a reference to channels and noise."""
    if name == "dipole-fit":
        return DipoleDoor(name, info, noise_cov)
    if name in REFERENCES:
        return MusicDoor(name, info, noise_cov)
    return SolverDoor(name, info, noise_cov)


def _forward(info: Any) -> Any:
    from majorant.head.template import template_forward

    return template_forward(info)


@lru_cache(maxsize=1)
def _shells() -> Any:
    """The template's boundary-element solution as MNE reads it."""
    import tempfile
    from pathlib import Path

    import mne

    from majorant.forward.template import template_head

    with tempfile.TemporaryDirectory(prefix="majorant-") as root:
        path = Path(root) / "template-bem-sol.fif"
        path.write_bytes(template_head().solution)
        return mne.read_bem_solution(path, verbose="error")
