"""A bank of heads: the believed one, and as many others as are asked for, cheaply.

A :class:`HeadBank` knows an anatomy and electrodes on its scalp. It gives the lead field that a
solver believes, and draws heads whose skull, electrodes and cortex differ from it::

    bank = template_bank("standard_1020", space="ico4")     # majorant.forward.template_bank
    bank.believed                    # Leadfield: what solvers invert
    heads = bank.draw(100, seed=1, split="train")
    heads[0].leadfield               # the same sources and electrodes in the drawn head
    heads[0].fine                    # the same head on the fine mesh: where simulations put sources
    heads[0].skull, heads[0].moved_mm, heads[0].deformed_mm, heads[0].turned_deg

Numbers of sources, edges, parcels and channel names of ``leadfield`` are those of ``believed``, and
those of ``fine`` are those of ``bank.believed_fine`` (20,484 pial vertices, one column along each
normal); positions and normals are those of the drawn head. Potentials are against infinity: apply
one reference to lead field and data alike.

Nothing is tabulated but what one skull shape needs (some 45 MB in the cache folder, 12 s on one
core, once): between the shell's nodes electrodes are interpolated as the boundary-element method
itself does it, skulls are interpolated between nine conductivities, and every head has a cortex of
its own. A lead field of 64 electrodes takes about 0.6 s of one core (5,124 vertices) or 1.2 s (fine
mesh or regions), and 200 MB at most beside what it returns; draws compute when asked and keep
``leadfield`` alone.

Splits ("train", "validation", "test") share no key of a random stream, no shape of the skull but
the template's own, and no value of the skull's conductivity: its logarithm is cut in fifteen bins,
of which validation and test have three each. No MNE is needed once there is an anatomy
(`HeadBank.save` and `HeadBank.load` carry one to a bare node).
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from majorant.errors import MajorantError
from majorant.files.archive import read_archive, write_archive
from majorant.files.cache import Cache, Content
from majorant.forward import bem
from majorant.forward.anatomy import SPACES, Anatomy, AnatomySpace, Seen
from majorant.forward.deform import deform_cortex, thicken, turned_by
from majorant.forward.leadfield import Leadfield, average_reference
from majorant.forward.mesh import MeshSample, nearest_on_surface
from majorant.forward.topography_errors import TopographyErrors, topography_errors
from majorant.randomness import takes_rng

__all__ = ["SPLITS", "DrawnHead", "HeadBank", "HeadSpread", "skull_bin"]

Split = Literal["train", "validation", "test"]
SPLITS: dict[str, tuple[int, ...]] = {
    "train": (0, 2, 4, 5, 7, 9, 10, 12, 14),
    "validation": (1, 6, 11),
    "test": (3, 8, 13),
}
"""Which of the bins of the skull's conductivity belong to a split; its place is its code."""
N_BINS = 15
POINTS = 25
"""Conductivities of a bin between which a weighted draw chooses."""
SKULL_RANGE = (0.0041, 0.0127)
BRAIN = 0.3
"""S/m, brain and scalp."""
BELIEVED_SKULL = 0.006
VERSION = 1
KIND = "head-bank"
Range = tuple[float, float]
Progress = Callable[[str], None] | None


@dataclass(frozen=True)
class HeadSpread:
    """What heads differ in; of every range one value is drawn for each head.

    Attributes
    ----------
    skull : tuple of float
        S/m, log-uniform over the bins of the split.
    moved_mm : tuple of float
        Standard deviation of every coordinate of an electrode about its place, mm; electrodes stay
        on the scalp.
    cap_deg : tuple of float
        Standard deviation of the turn of the whole cap about each axis, degrees (1 degree is 1.6 mm
        on the scalp).
    deformed_mm : tuple of float
        Root mean square of the smooth displacement of the cortex, mm.
    turned_deg : tuple of float
        Root mean square of the angle by which its normals turn, degrees.
    thickness : tuple of float
        Factor of the thickness of the skull, of the shapes other than the template's own.
    thickness_spread : float
        Standard deviation of the logarithm of the factor's variation over the head.
    shapes : int
        Shapes of the skull of a split; the first is the template's own.
    said : tuple of float or None
        What a recording says of the skull (`majorant.head.skull`): S/m, and the standard deviation
        of its logarithm. Skulls are then drawn as often as this makes them likely.
    """

    skull: Range = SKULL_RANGE
    moved_mm: Range = (0.0, 6.0)
    cap_deg: Range = (0.0, 3.0)
    deformed_mm: Range = (3.0, 8.0)
    turned_deg: Range = (20.0, 30.0)
    thickness: Range = (0.75, 1.35)
    thickness_spread: float = 0.15
    shapes: int = 3
    said: Range | None = None

    def __post_init__(self) -> None:
        if self.said is not None and not all(0 < value < math.inf for value in self.said):
            raise MajorantError(
                f"a recording was taken to say {self.said} of the skull; expected a conductivity "
                "and a standard deviation of its logarithm, both above 0"
            )
        for name in ("skull", "moved_mm", "cap_deg", "deformed_mm", "turned_deg", "thickness"):
            low, high = getattr(self, name)
            if not 0 <= low <= high < math.inf:
                raise MajorantError(f"{name} is ({low:g}, {high:g}); expected 0 <= low <= high")
        low, high = bem.SKULLS
        if not low <= self.skull[0] <= self.skull[1] <= high:
            raise MajorantError(
                f"skulls of {self.skull[0]:g} to {self.skull[1]:g} S/m were asked for; expected "
                f"values from {low:g} to {high:g}"
            )
        if self.shapes < 1 or self.thickness[0] <= 0:
            raise MajorantError("a split has at least one shape of the skull, of some thickness")


def skull_bin(skull: float, span: Range = SKULL_RANGE) -> int:
    """Return the bin of a conductivity, from 0 to 14; see `SPLITS`."""
    share = math.log(skull / span[0]) / math.log(span[1] / span[0])
    return min(max(int(share * N_BINS), 0), N_BINS - 1)


@dataclass(frozen=True, eq=False)
class DrawnHead:
    """One head of a bank; lead fields are computed when they are asked for.

    Attributes
    ----------
    bank : HeadBank
    key : tuple of int
        Code of the split, seed and number: that of its random streams.
    skull : float
        S/m.
    shape : tuple of int
        Code of the split and number of the skull's shape; (0, 0) is the template's own.
    electrodes : ndarray, shape (n_electrodes, 3)
        Where they are, on the scalp, metres.
    deform : tuple of float
        Displacement (mm) and turn (degrees) that were asked of the cortex.
    spread : HeadSpread
    """

    bank: HeadBank
    key: tuple[int, int, int]
    skull: float
    shape: tuple[int, int]
    electrodes: np.ndarray
    deform: tuple[float, float]
    spread: HeadSpread

    @cached_property
    def moved_mm(self) -> np.ndarray:
        """How far every electrode is from where it is believed to be, mm, (n_electrodes,)."""
        return 1e3 * np.linalg.norm(self.electrodes - self.bank.electrodes, axis=1)

    @cached_property
    def cortex(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and normals of the fine mesh in this head, shape (n_sources, 3) each."""
        own = self.bank.true
        if not any(self.deform):
            return own.positions, own.normals
        moved, turned = self.deform
        shell = own.shells[0], own.shell_faces
        rng = _rng(*self.key, 3)
        return deform_cortex(
            own.positions,
            own.normals,
            own.faces,
            shell,
            moved_mm=moved,
            turned_deg=turned,
            rng=rng,
        )

    @cached_property
    def deformed_mm(self) -> float:
        """Root mean square of the displacement of the cortex as it came out, mm."""
        step = self.cortex[0] - self.bank.true.positions
        return 1e3 * float(np.sqrt((step**2).sum(1).mean()))

    @cached_property
    def turned_deg(self) -> float:
        """Root mean square of the turn of the normals as it came out, degrees."""
        return float(np.rad2deg(turned_by(self.bank.true.normals, self.cortex[1])))

    @cached_property
    def leadfield(self) -> Leadfield:
        """The lead field of the bank's space in this head; kept once computed.

        Raises
        ------
        MajorantError
            If the cortex is another one than the believed: there are no common sources then.
        """
        bank = self.bank
        if bank.true is not bank.anatomy:
            raise MajorantError(
                f"the heads have the cortex of {bank.true.subject}, whose sources are not those of "
                f"{bank.anatomy.subject}; take their fine lead field"
            )
        return self._lead(bank._space)

    @property
    def fine(self) -> Leadfield:
        """The lead field of the fine mesh in this head; computed anew each time."""
        return self._lead(self.bank._fine_space)

    def columns(self, vertices: np.ndarray) -> Tensor:
        """Columns of some vertices of the fine mesh alone, in some 40 ms: the head, but quickly.

        Fields that move and turn the cortex are those of ``fine``; they are scaled to what was
        asked for over a sample of the mesh, not all of it, so numbers differ by a few per cent.

        Parameters
        ----------
        vertices : ndarray, shape (n,)

        Returns
        -------
        Tensor, shape (n_electrodes, n), float64
            V/(A m).
        """
        own, (moved, turned) = self.bank.true, self.deform
        places, normals = own.positions[vertices], own.normals[vertices]
        if moved or turned:
            part, faces, rows = self.bank._sample.around(vertices)
            shell, rng = (own.shells[0], own.shell_faces), _rng(*self.key, 3)
            places, normals = deform_cortex(
                own.positions[part],
                own.normals[part],
                faces,
                shell,
                moved_mm=moved,
                turned_deg=turned,
                rng=rng,
            )
            places, normals = places[rows], normals[rows]
        seen = self.bank._seen(self.electrodes, self.skull, self.shape, self.spread)
        return seen(places, normals)

    def _lead(self, space: AnatomySpace) -> Leadfield:
        bank = self.bank
        seen = bank._seen(self.electrodes, self.skull, self.shape, self.spread)
        return space.leadfield(bank.true, bank.ch_names, seen, *self.cortex)


class HeadBank:
    """The believed head of some electrodes, and others drawn around it.

    Parameters
    ----------
    anatomy : Anatomy
        Of the believed head.
    ch_names : sequence of str
    electrodes : ndarray, shape (n_electrodes, 3)
        On its scalp, metres.
    space : {"regions", "ico5", "ico4", "ico3"}
        Sources of ``believed`` and of ``leadfield`` of the draws; "ico5" is the fine mesh.
    skull : float
        Conductivity that is believed, S/m.
    true : Anatomy, optional
        Whose cortex the drawn heads have; the same by default.
    progress : callable, optional
        Takes a line of text for every step that takes time.

    Raises
    ------
    MajorantError
        If names and electrodes do not match, or there is no such space.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        ch_names: Sequence[str],
        electrodes: np.ndarray,
        *,
        space: str = "ico4",
        skull: float = BELIEVED_SKULL,
        true: Anatomy | None = None,
        progress: Progress = None,
    ) -> None:
        if space not in SPACES:
            raise MajorantError(f"there is no source space {space!r}; choose {', '.join(SPACES)}")
        place = np.asarray(electrodes, dtype=np.float64)
        if place.shape != (len(ch_names), 3) or not len(ch_names):
            raise MajorantError(
                f"{len(ch_names)} names came with electrodes of shape {place.shape}; expected one "
                "row of three coordinates for each"
            )
        self.anatomy = anatomy
        self.true = anatomy if true is None else true
        self.ch_names = tuple(ch_names)
        self.electrodes = place
        self.space = space
        self.skull = skull
        self.progress = progress

    @cached_property
    def believed(self) -> Leadfield:
        """What solvers invert: the undeformed head."""
        return self.believed_fine if self.space == "ico5" else self._believed(self._space)

    @cached_property
    def believed_fine(self) -> Leadfield:
        """The same on the fine mesh."""
        return self._believed(self.anatomy.space("ico5"))

    @cached_property
    def _space(self) -> AnatomySpace:
        return self.anatomy.space(self.space)

    @cached_property
    def _fine_space(self) -> AnatomySpace:
        return self.true.space("ico5")

    @cached_property
    def _sample(self) -> MeshSample:
        return MeshSample(self.true.faces, len(self.true.positions))

    @takes_rng
    def draw(
        self,
        n: int,
        seed: int,
        *,
        split: Split = "train",
        spread: HeadSpread | None = None,
        start: int = 0,
    ) -> list[DrawnHead]:
        """Draw heads.

        Parameters
        ----------
        n : int
        seed : int
        split : {"train", "validation", "test"}
        spread : HeadSpread, optional
        start : int
            Number of the first: ``draw(2, s)`` is ``draw(1, s) + draw(1, s, start=1)``.

        Returns
        -------
        list of DrawnHead
            Each keeps what it has computed; `iterate` holds one at a time.
        """
        return list(self.iterate(n, seed, split=split, spread=spread, start=start))

    @takes_rng
    def iterate(
        self,
        n: int,
        seed: int,
        *,
        split: Split = "train",
        spread: HeadSpread | None = None,
        start: int = 0,
    ) -> Iterator[DrawnHead]:
        """Yield the heads of `draw` one after the other."""
        if split not in SPLITS:
            raise MajorantError(f"there is no split {split!r}; choose {', '.join(SPLITS)}")
        spread = spread or HeadSpread()
        for number in range(start, start + n):
            yield self._draw(split, seed, number, spread)

    def pick(self, ch_names: Sequence[str]) -> HeadBank:
        """Return the bank of some of the electrodes, in the order asked for."""
        number = {name: i for i, name in enumerate(self.ch_names)}
        missing = [name for name in ch_names if name not in number]
        if missing or not len(ch_names):
            raise MajorantError(
                f"the bank has no electrode {', '.join(missing) or '(none asked for)'}; it has "
                f"{', '.join(self.ch_names)}"
            )
        place = self.electrodes[[number[name] for name in ch_names]]
        return self._other(ch_names=ch_names, electrodes=place)

    def in_space(self, space: str) -> HeadBank:
        """Return the bank with another source space; its heads of a seed are the same."""
        return self._other(space=space)

    def with_cortex(self, true: Anatomy) -> HeadBank:
        """Return the bank whose drawn heads have another cortex in the same skull."""
        return self._other(true=true)

    @takes_rng
    def error_covariance(
        self,
        n: int,
        seed: int,
        *,
        rows: Tensor | None = None,
        patches: Tensor | None = None,
        split: Split = "train",
        spread: HeadSpread | None = None,
    ) -> TopographyErrors:
        """Say by how much believed topographies are wrong, over heads of the bank.

        Parameters
        ----------
        n, seed, split, spread
            Of the heads; see `draw`.
        rows : Tensor, shape (n_rows, n_electrodes), optional
            What is done to data before a solver sees them (reference, whitening); the average
            reference by default.
        patches : Tensor, shape (n_locations, n_patches), optional
            Weights of summed columns; every location alone by default.

        Returns
        -------
        TopographyErrors
            ``pooled`` is the covariance over all patches, ``factors`` those of each.
        """
        if rows is None:
            rows = average_reference(len(self.ch_names))
        heads = (head.leadfield for head in self.iterate(n, seed, split=split, spread=spread))
        return topography_errors(self.believed, heads, rows=rows, patches=patches)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the bank (anatomy and electrodes, a few MB) to one file, atomically."""
        part = self.anatomy.tensors()
        part["electrodes"] = torch.from_numpy(self.electrodes)
        info = {
            "ch_names": list(self.ch_names),
            "space": self.space,
            "skull": self.skull,
            "subject": self.anatomy.subject,
        }
        return write_archive(path, part, info, kind=KIND, version=VERSION)

    @classmethod
    def load(cls, path: str | os.PathLike[str], progress: Progress = None) -> HeadBank:
        """Read a file written by `save`; no MNE is needed.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        DamagedFile
            If it is truncated, altered, of another kind or of another version.
        """
        tensors, info = read_archive(path, kind=KIND, version=VERSION)
        electrodes = tensors.pop("electrodes").numpy()
        anatomy = Anatomy.from_tensors(tensors, info["subject"])
        return cls(
            anatomy,
            info["ch_names"],
            electrodes,
            space=info["space"],
            skull=info["skull"],
            progress=progress,
        )

    def _other(self, **changes: object) -> HeadBank:
        """Return a bank that differs in some parameters."""
        given: dict[str, object] = {
            "ch_names": self.ch_names,
            "electrodes": self.electrodes,
            "space": self.space,
            "skull": self.skull,
            "true": self.true,
            "progress": self.progress,
        }
        return HeadBank(self.anatomy, **(given | changes))  # type: ignore[arg-type]

    def _draw(self, split: Split, seed: int, number: int, spread: HeadSpread) -> DrawnHead:
        """Draw one head."""
        code = list(SPLITS).index(split)
        rng = _rng(code, seed, number, 0)
        skull = _skull(spread, SPLITS[split], rng)
        shape = int(_rng(code, seed, number, 1).integers(spread.shapes))
        cap = _rng(code, seed, number, 2)
        places = _placed(self.electrodes, self.anatomy, spread, cap)
        amounts = _rng(code, seed, number, 4)
        deform = (
            float(amounts.uniform(*spread.deformed_mm)),
            float(amounts.uniform(*spread.turned_deg)),
        )
        return DrawnHead(
            self,
            (code, seed, number),
            skull,
            (code, shape) if shape else (0, 0),
            places,
            deform,
            spread,
        )

    def _shells(self, shape: tuple[int, int], spread: HeadSpread) -> np.ndarray:
        """Return the shells of a shape, (3, n, 3)."""
        if shape == (0, 0):
            return self.anatomy.shells
        rng = _rng(*shape, 0, 5)
        factor = float(rng.uniform(*spread.thickness))
        return thicken(self.anatomy.shells, factor, spread.thickness_spread, rng)

    def _seen(
        self, electrodes: np.ndarray, skull: float, shape: tuple[int, int], spread: HeadSpread
    ) -> Seen:
        """Return what gives the gain of dipoles, for electrodes in one head."""
        shells, faces = self._shells(shape, spread), self.anatomy.shell_faces
        table = _transfers(shells, faces, self.progress)
        weights = bem.electrode_weights(electrodes, shells[2], faces)
        # Of all nodes only those around electrodes are needed: a tenth of the table.
        met = np.unique(weights.indices)
        rows = torch.from_numpy(weights[:, met] @ bem.interpolated(table[:, met], skull).numpy())
        nodes = torch.from_numpy(shells[::-1].reshape(-1, 3).copy())

        def seen(positions: np.ndarray, moments: np.ndarray) -> Tensor:
            # Single precision errs by 1e-6 of the gain here, and takes a quarter of the time.
            single = rows.float(), nodes.float()
            places = torch.from_numpy(positions).float(), torch.from_numpy(moments).float()
            return bem.potentials(*single, *places).to(torch.float64)

        return seen

    def _believed(self, space: AnatomySpace) -> Leadfield:
        own = self.anatomy
        seen = self._seen(self.electrodes, self.skull, (0, 0), HeadSpread())
        return space.leadfield(own, self.ch_names, seen, own.positions, own.normals)


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)


def _skull(spread: HeadSpread, bins: tuple[int, ...], rng: np.random.Generator) -> float:
    """Draw a conductivity from the bins of a split, weighted by what a recording says of it."""
    low, high = np.log(spread.skull)
    if spread.said is None:
        place = bins[rng.integers(len(bins))] + rng.uniform(0.02, 0.98)
        return float(np.exp(low + (high - low) * place / N_BINS))
    inside = np.linspace(0.02, 0.98, POINTS)
    logs = low + (high - low) * np.add.outer(bins, inside).ravel() / N_BINS
    off = (logs - math.log(spread.said[0])) / spread.said[1]
    chance = np.exp(-0.5 * (off**2 - (off**2).min()))
    return float(np.exp(rng.choice(logs, p=chance / chance.sum())))


def _placed(
    electrodes: np.ndarray, anatomy: Anatomy, spread: HeadSpread, rng: np.random.Generator
) -> np.ndarray:
    """Turn the cap, move every electrode, and put them back on the scalp."""
    moved, turned = rng.uniform(*spread.moved_mm), rng.uniform(*spread.cap_deg)
    turn = np.deg2rad(turned) * rng.standard_normal(3)
    centre = anatomy.shells[0].mean(axis=0)
    places = centre + Rotation.from_rotvec(turn).apply(electrodes - centre)
    places = places + 1e-3 * moved * rng.standard_normal(places.shape)
    return nearest_on_surface(places, anatomy.scalp, anatomy.scalp_faces)


_HELD: OrderedDict[str, Tensor] = OrderedDict()
MAX_HELD = 4
"""Shapes whose transfers (45 MB each) stay in memory."""


def _transfers(shells: np.ndarray, faces: np.ndarray, progress: Progress) -> Tensor:
    """Return the transfers of all nodes of the skull's conductivity, from memory, cache or anew.

    Shape (n_nodes, n, 3 n), float32.
    """
    digest = hashlib.sha256(shells.astype("<f8").tobytes() + faces.astype("<i8").tobytes())
    key = digest.hexdigest()
    if key not in _HELD:
        store = Cache(progress)

        def build() -> Content:
            store.step("Solving for the potentials of one shape of the skull (once)")
            integrals = bem.shell_coefficients(shells, faces)
            solved = []
            for i, skull in enumerate(bem.skull_nodes()):
                store.step(f"Skull {i + 1} of {bem.N_NODES}: {skull:.4f} S/m")
                solved.append(bem.transfer(integrals, (BRAIN, float(skull), BRAIN)))
            return {"transfers": torch.from_numpy(np.stack(solved)).float()}, {}

        _HELD[key] = store.get("transfers", VERSION, [key, bem.skull_nodes().tolist()], build)[0][
            "transfers"
        ]
        while len(_HELD) > MAX_HELD:
            _HELD.popitem(last=False)
    _HELD.move_to_end(key)
    return _HELD[key]
