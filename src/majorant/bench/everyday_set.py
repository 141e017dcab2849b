"""The fixed test set of ``majorant bench everyday``: which cells there are, and their samples.

Five factors are crossed: size of the sources, their number, the head that makes the data, the cap,
and the level. The four families of whole regions stand beside them. Samples are drawn at *sites*: a
cap on one head with one recording's noise and the covariance estimated from it. Cells of one head
and cap share their sites, and the seeds of their sources, so differences between cells and between
solvers are paired.

All truths, heads and clips are those of the test part (:mod:`majorant.simulate.everyday.parts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from majorant.errors import MajorantError
from majorant.forward.bank import HeadBank, HeadSpread
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.leadfield import Leadfield
from majorant.metrics.everyday import FineMesh, JudgedSpace, Truth
from majorant.simulate.everyday import FAMILIES, Everyday, EverydayBatch, EverydaySettings, World
from majorant.simulate.everyday.cortex import Lists
from majorant.simulate.everyday.heads import fine_cortex, world_of
from majorant.simulate.everyday.parts import Part
from majorant.simulate.sparse import homes

__all__ = ["CELLS", "QUICK", "Cell", "Recorded", "Site", "TestSet", "chosen_cells"]

SIZES = {"vertex": ("vertex", 5.0), "15 mm": ("grown", 15.0), "35 mm": ("grown", 35.0)}
COUNTS = (1, 3)
HEADS = {
    "near": HeadSpread((0.005, 0.0075), (0, 2), (0, 1), (0, 2), (0, 12), shapes=1),
    "far": HeadSpread(moved_mm=(3, 6), cap_deg=(1, 3), deformed_mm=(5, 8), turned_deg=(25, 30)),
}
"""The head that makes the data: much as it is believed, or as another person's may be."""
CAPS = {"32": "biosemi32", "64": "biosemi64"}
LEVELS_DB = (0, 10)
N_TIMES, SFREQ = 50, 128.0
UNIT_V = 1e-6
"""Standard deviation of the noise that whitened data have, V: whitened units are microvolts."""
FAMILY = "regions"
SHAPES = 1


@dataclass(frozen=True)
class Cell:
    """One cell of the test set.

    Attributes
    ----------
    size, head, cap : str
        Keys of the tables above; a family has ``head`` "far" and ``cap`` "64".
    count : int
        Sources; 0 stands for the one to three of a family.
    level_db : float
        NaN stands for the range of a family.
    """

    size: str
    count: int
    head: str
    cap: str
    level_db: float

    @property
    def family(self) -> bool:
        """Whether the sources are whole regions."""
        return self.size in FAMILIES

    @property
    def name(self) -> str:
        """As tables have it."""
        if self.family:
            return f"regions, {self.size}"
        many = f"{self.count} source" + "s" * (self.count > 1)
        return f"{self.size}, {many}, {self.head} head, {self.cap} electrodes, {self.level_db:g} dB"

    @property
    def settings(self) -> EverydaySettings:
        """What its samples are drawn from."""
        if self.family:
            return FAMILIES[self.size]
        shape, width = SIZES[self.size]
        return EverydaySettings(
            shapes=(shape,),  # type: ignore[arg-type]
            width_mm=(width, width),
            n_sources=(self.count,),
            snr_db=(self.level_db, self.level_db),
            n_times=(N_TIMES,),
            sfreq=(SFREQ,),
        )


CELLS: tuple[Cell, ...] = (
    *(Cell(*levels) for levels in product(SIZES, COUNTS, HEADS, CAPS, LEVELS_DB)),
    *(Cell(name, 0, "far", "64", float("nan")) for name in FAMILIES),
)
QUICK: tuple[Cell, ...] = tuple(
    cell for cell in CELLS if cell.head == "far" and cell.cap == "32" and not cell.family
)
"""Of one head and cap: 12 cells."""


def chosen_cells(quick: bool) -> tuple[Cell, ...]:
    """The cells of a run."""
    return QUICK if quick else CELLS


@dataclass(frozen=True)
class Site:
    """Where samples of several cells are recorded: a cap on one head, with its noise."""

    head: str
    cap: str
    number: int
    family: bool = False

    @property
    def name(self) -> str:
        """As files have it."""
        return f"{self.head}-{self.cap}-{self.number}" + "-regions" * self.family


@dataclass(frozen=True, eq=False)
class Recorded:
    """What a person has at a site: the channels, the noise, and the samples of a cell.

    Attributes
    ----------
    info : mne.Info
    noise_cov : mne.Covariance
        Estimated from the baseline, shrunk.
    evoked : tuple of mne.Evoked
    truths : tuple of Truth
    """

    info: Any
    noise_cov: Any
    evoked: tuple[Any, ...]
    truths: tuple[Truth, ...]


class TestSet:
    """Makes sites and samples.

    Parameters
    ----------
    seed : int
    n : int
        Samples of a cell.
    sites : int
        Sites that they are spread over.
    part : {"train", "validation", "test"}
        Whose truths and heads: "validation" is for choices, the test for tables.
    heads : mapping of str to HeadSpread
        What the heads that make the data differ in from the believed one, by the name in a cell.
    """

    __test__ = False

    def __init__(
        self,
        seed: int,
        n: int,
        sites: int = 4,
        part: Part = "test",
        heads: Mapping[str, HeadSpread] = HEADS,
    ) -> None:
        if n < 1 or sites < 1:
            raise MajorantError(f"{n} samples at {sites} sites were asked for; give at least 1")
        self.seed, self.n, self.n_sites = seed, n, min(sites, n)
        self.part: Part = part
        self.heads = heads

    def sites(self, cells: tuple[Cell, ...]) -> list[Site]:
        """The sites that cells need, those of different heads and caps in turn."""
        kinds = dict.fromkeys((cell.head, cell.cap, cell.family) for cell in cells)
        return [
            Site(head, cap, number, family)
            for number in range(self.n_sites)
            for head, cap, family in kinds
        ]

    def at(self, site: Site, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        """The cells that have samples at a site."""
        return tuple(
            c for c in cells if (c.head, c.cap, c.family) == (site.head, site.cap, site.family)
        )

    def share(self, site: Site) -> int:
        """Samples of every cell that are recorded at a site."""
        return (self.n - site.number + self.n_sites - 1) // self.n_sites

    def recorded(self, site: Site, cell: Cell) -> Recorded:
        """Record the samples of a cell at a site."""
        import mne

        world = self._world(site)
        data = Everyday(
            world,
            self.seed + 1000 * site.number,
            part=self.part,
            settings=cell.settings,
            lists=None if cell.family else self._lists,
        )
        session = data.session(0)
        batch = session.batch(range(self.share(site)))
        back = UNIT_V * np.linalg.pinv(session.whitener.numpy())
        names = list(world.heads[0].believed.ch_names)
        montage = mne.channels.make_standard_montage(CAPS[site.cap])
        info = mne.create_info(names, session.sfreq, "eeg")
        info.set_montage(montage)
        cov = mne.Covariance(back @ back.T, names, [], [], 1000)
        volts = back @ batch.y.double().numpy()
        evoked = tuple(mne.EvokedArray(y, info, nave=1, verbose="error") for y in volts)
        return Recorded(info, cov, evoked, self._truths(batch))

    def _truths(self, batch: EverydayBatch) -> tuple[Truth, ...]:
        dense, courses = batch.dense().double().numpy(), batch.courses.double().numpy()
        return tuple(Truth.of(self.mesh, d, c) for d, c in zip(dense, courses, strict=True))

    @lru_cache(maxsize=2)  # noqa: B019 - a test set lives as long as its run
    def _world(self, site: Site) -> World:
        bank = template(CAPS[site.cap])
        spread = HeadSpread() if site.family else self.heads[site.head]
        seed = self.seed + 100 * site.number + 10 * list(self.heads).index(site.head)
        return world_of(bank, [bank.ch_names], seed, self.part, spread=spread)

    @cached_property
    def _lists(self) -> Lists:
        return Lists.grow(fine_cortex(template(CAPS["32"]).believed_fine), self.part, SHAPES)

    @cached_property
    def mesh(self) -> FineMesh:
        """The fine mesh, with regions and the steps between them."""
        fine, regions = template(CAPS["32"]).believed_fine, regions_of_template()
        assert regions.parcels is not None
        labels = regions.parcels[fine.hemisphere, fine.vertices].numpy()
        return FineMesh(fine.positions.numpy(), labels, regions.hops().numpy())


@lru_cache(maxsize=2)
def template(montage: str) -> HeadBank:
    """The template's bank for a montage."""
    from majorant.forward.template_bank import template_bank

    return template_bank(montage)


@lru_cache(maxsize=1)
def regions_of_template() -> Leadfield:
    """The 994 regions as locations."""
    return Leadfield.template_small()


def space_of(leadfield: Leadfield) -> JudgedSpace:
    """A source space of the template as the judge takes it."""
    fine = template(CAPS["32"]).believed_fine
    positions = leadfield.positions.numpy()
    return JudgedSpace(
        positions=positions,
        places_mm=mni305_to_mni152(positions),
        edges=leadfield.edges.numpy(),
        home=homes(fine, leadfield.fixed() if leadfield.n_orient == 3 else leadfield).numpy(),
    )


def to_regions(values: NDArray[np.float64], home: NDArray[np.int64], mesh: FineMesh) -> Any:
    """Average an estimate on any space over the vertices of every region."""
    kept = (home >= 0) & (mesh.regions >= 0)
    n = int(mesh.regions.max()) + 1
    size = np.bincount(mesh.regions[kept], minlength=n).clip(1)
    weight = 1.0 / size[mesh.regions[kept]]
    return csr_array((weight, (mesh.regions[kept], home[kept])), shape=(n, len(values))) @ values


def pairs(test: TestSet, cells: tuple[Cell, ...]) -> Iterator[tuple[Site, Cell]]:
    """All pieces of work: a cell's samples at a site."""
    for site in test.sites(cells):
        for cell in test.at(site, cells):
            yield site, cell
