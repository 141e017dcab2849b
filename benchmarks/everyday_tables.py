r"""The tables of README and docs/everyday.md, from the folder of ``majorant bench everyday``.

    majorant bench everyday --seed 7301 --sites 10 \
        --solvers auto,champagne,sloreta,eloreta,dspm,mne,lcmv
    python -m benchmarks.everyday_tables out/everyday

Samples of all cells together; the first solver against the others, paired, with 95 % intervals
(4,000 bootstraps over draws: sample k of a site has its sources where sample k of every other cell
has them, so what is pooled over cells is no more independent than its draws); cells put together by
size, number and level, those in which the first does worst in LE first; near and far heads; and in
how many cells it is the best.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SOLVERS = ("auto", "champagne", "sloreta", "eloreta", "dspm", "mne", "lcmv")
FIGURES = ("emd", "off", "auc", "le", "found", "ghosts", "cosine", "ms")
EMD, OFF, AUC, LE, FOUND, GHOSTS, COSINE, MS = range(8)
DRAWS = 4000

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Run:
    """Scores of a run.

    Attributes
    ----------
    cells : tuple of str
        The cell of every part.
    parts : tuple of mapping of str to array, shape (n_samples, n_figures)
        By solver.
    draws : tuple of array, shape (n_samples,)
        Number of the draw of places and courses, which samples of several cells share.
    """

    cells: tuple[str, ...]
    parts: tuple[dict[str, Scores], ...]
    draws: tuple[NDArray[np.int64], ...]

    @classmethod
    def read(cls, folder: Path, solvers: Sequence[str] = SOLVERS) -> Run:
        """Read the parts in which every solver was judged."""
        found: dict[tuple[str, str], dict[str, Scores]] = defaultdict(dict)
        for line in (folder / "parts.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            scores = np.array([[one[name] for name in FIGURES] for one in row["scores"]])
            found[row["site"], row["cell"]][row["solver"]] = scores
        whole = {key: own for key, own in found.items() if set(solvers) <= set(own)}
        numbers = [int(site.split("-")[2]) for site, _ in whole]
        counts = [len(next(iter(own.values()))) for own in whole.values()]
        most = max(counts)
        draws = (most * a + np.arange(n) for a, n in zip(numbers, counts, strict=True))
        return cls(tuple(cell for _, cell in whole), tuple(whole.values()), tuple(draws))

    def chosen(self, solver: str, where: Callable[[str], bool]) -> Scores:
        """Samples of some cells."""
        both = zip(self.cells, self.parts, strict=True)
        return np.concatenate([part[solver] for cell, part in both if where(cell)])

    def drawn(self, where: Callable[[str], bool]) -> NDArray[np.int64]:
        """Draws of the samples of some cells."""
        both = zip(self.cells, self.draws, strict=True)
        return np.concatenate([own for cell, own in both if where(cell)])


class Tables:
    """Rows in Markdown.

    Parameters
    ----------
    run : Run
    solvers : sequence of str
        The first one against the others.
    """

    def __init__(self, run: Run, solvers: Sequence[str] = SOLVERS) -> None:
        self.run, self.first, self.others = run, solvers[0], tuple(solvers[1:])
        self.rng = np.random.default_rng(0)
        self.whole = {name: run.chosen(name, lambda cell: True) for name in solvers}

    def means(self) -> Iterator[str]:
        """Every solver over all samples."""
        yield "| solver | EMD mm | off mm | AUC % | LE mm | found | ghosts | 1 - cos | ms |"
        yield "|---" * 9 + "|"
        for name, scores in self.whole.items():
            m = scores.mean(0)
            places = f"{m[EMD]:.1f} | {m[OFF]:.1f} | {100 * m[AUC]:.1f} | {m[LE]:.1f}"
            shares = " | ".join(_share(m[k]) for k in (FOUND, GHOSTS, COSINE))
            yield f"| `{name}` | {places} | {shares} | {m[MS]:.0f} |"

    def differences(self) -> Iterator[str]:
        """The first solver less every other."""
        yield f"| `{self.first}` less | EMD mm | 1 - cos | LE mm | found | ghosts |"
        yield "|---" * 6 + "|"
        columns = ((EMD, _mm), (COSINE, _signed), (LE, _mm), (FOUND, _signed), (GHOSTS, _signed))
        draws = self.run.drawn(lambda cell: True)
        for name in self.others:
            less = self.whole[self.first] - self.whole[name]
            cells = [self._interval(less[:, k], draws, words) for k, words in columns]
            yield f"| `{name}` | {' | '.join(cells)} |"

    def bunches(self) -> Iterator[str]:
        """Cells put together, those in which the first does worst in LE first."""
        rows: list[tuple[float, str]] = []
        for size in ("vertex", "15 mm", "35 mm"):
            for count in ("1 source,", "3 sources,"):
                for level in ("0 dB", "10 dB"):
                    words = (f"{size}, {count}", f" {level}")
                    rows.append(self._bunch(f"{words[0]}{words[1]}", _within(*words)))
        rows.append(self._bunch("whole regions", lambda cell: cell.startswith("regions")))
        yield from _BUNCH
        yield from (row for _, row in sorted(rows, key=lambda row: -row[0]))

    def heads(self) -> Iterator[str]:
        """Near and far heads."""
        yield from _BUNCH
        for name in ("near head", "far head"):
            yield self._bunch(name, lambda cell, name=name: name in cell)[1]

    def small(self) -> Iterator[str]:
        """Small sources against sLORETA."""
        own = f"`{self.first}`"
        heads = f"LE mm, {own} | `sloreta` | less | found | `sloreta` | ghosts | `sloreta`"
        yield f"| sources | n | {heads} |"
        yield "|---" * 9 + "|"
        for size, words in (("vertex,", "single vertices"), ("15 mm,", "15 mm")):
            for head in ("far head", " head"):
                where = _with(size, head)
                a, b = (self.run.chosen(name, where) for name in (self.first, "sloreta"))
                less = self._interval(a[:, LE] - b[:, LE], self.run.drawn(where), _mm)
                m, k = a.mean(0), b.mean(0)
                shares = " | ".join(_share(x[c]) for c in (FOUND, GHOSTS) for x in (m, k))
                named = f"{words}, {'far' if head.startswith('far') else 'all'} heads"
                yield f"| {named} | {len(a)} | {m[LE]:.1f} | {k[LE]:.1f} | {less} | {shares} |"

    def best(self) -> str:
        """In how many cells the first solver is the best."""
        cells = list(dict.fromkeys(self.run.cells))
        means = [
            {name: self.run.chosen(name, cell.__eq__).mean(0) for name in self.whole}
            for cell in cells
        ]
        emd, cosine = (self._wins(means, k, 1.0) for k in (EMD, COSINE))
        near = self._wins(means, LE, 1.05)
        return (
            f"{self.first}: least EMD in {emd} of {len(cells)} cells, least 1 - cos in {cosine}, "
            f"LE at most 1.05 times the best other's in {near}; "
            f"{len(self.whole[self.first])} samples"
        )

    def _wins(self, means: list[dict[str, Scores]], figure: int, factor: float) -> int:
        return sum(
            bool(m[self.first][figure] <= factor * min(m[name][figure] for name in self.others))
            for m in means
        )

    def _bunch(self, words: str, where: Callable[[str], bool]) -> tuple[float, str]:
        """How much the first loses in LE, and the row."""
        own = {name: self.run.chosen(name, where) for name in self.whole}
        mean = {name: scores.mean(0) for name, scores in own.items()}
        m = mean[self.first]
        best = {k: min(self.others, key=lambda name, k=k: mean[name][k]) for k in (EMD, LE, COSINE)}
        finder = max(self.others, key=lambda name: mean[name][FOUND])
        less = own[self.first][:, LE] - own[best[LE]][:, LE]
        beside = {k: f"{mean[name][k]:.1f} `{name}`" for k, name in best.items()}
        cells = (
            f"{m[EMD]:.1f} | {beside[EMD]} | {m[LE]:.1f} | {beside[LE]}",
            self._interval(less, self.run.drawn(where), _mm),
            f"{_share(m[COSINE])} | {_share(mean[best[COSINE]][COSINE])} `{best[COSINE]}`",
            f"{_share(m[FOUND])} | {_share(mean[finder][FOUND])} `{finder}`",
        )
        lost = float(m[LE] - mean[best[LE]][LE])
        return lost, f"| {words} | {len(less)} | {' | '.join(cells)} |"

    def _interval(
        self, less: Scores, draws: NDArray[np.int64], words: Callable[[float], str]
    ) -> str:
        """A mean with its interval, draws taken as a whole or not at all."""
        _, own = np.unique(draws, return_inverse=True)
        sums, counts = np.bincount(own, less), np.bincount(own)
        again = self.rng.integers(0, len(counts), (DRAWS, len(counts)))
        means = sums[again].sum(1) / counts[again].sum(1)
        low, high = np.quantile(means, (0.025, 0.975))
        return f"{words(float(less.mean()))} ({words(float(low))}, {words(float(high))})"


_BUNCH = (
    "| sources | n | EMD mm | best other | LE mm | best other | `auto` less that | 1 - cos "
    "| best other | found | best other |",
    "|---" * 11 + "|",
)


def means_of(folder: Path) -> Iterator[str]:
    """Means of every solver of a run, and what its guard did."""
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for line in (folder / "parts.jsonl").read_text(encoding="utf-8").splitlines():
        part = json.loads(line)
        rows[part["solver"]] += part["scores"]
    names = "EMD mm | off mm | AUC % | LE mm | found | ghosts | 1 - cos | ms | rises | refused"
    yield f"| solver | n | {names} |"
    yield "|---" * 12 + "|"
    for name, own in rows.items():
        m = np.array([[one[figure] for figure in FIGURES] for one in own]).mean(0)
        places = f"{m[EMD]:.1f} | {m[OFF]:.1f} | {100 * m[AUC]:.1f} | {m[LE]:.1f}"
        shares = " | ".join(_share(m[k]) for k in (FOUND, GHOSTS, COSINE))
        guard = " | ".join(f"{sum(one[word] for one in own):.0f}" for word in ("rises", "refused"))
        yield f"| `{name}` | {len(own)} | {places} | {shares} | {m[MS]:.0f} | {guard} |"


def _within(begins: str, ends: str) -> Callable[[str], bool]:
    return lambda cell: cell.startswith(begins) and cell.endswith(ends)


def _with(begins: str, holds: str) -> Callable[[str], bool]:
    return lambda cell: cell.startswith(begins) and holds in cell


def _share(value: float) -> str:
    return f"{value:.2f}".removeprefix("0") if 0 <= value < 1 else f"{value:.2f}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("0.", ".", 1)


def _mm(value: float) -> str:
    return f"{value:+.1f}" if abs(value) >= 0.05 else "0"


def main(folder: str = "out/everyday", what: str = "all") -> None:
    """Print the tables."""
    if what == "means":
        print("\n".join(means_of(Path(folder))))
        return
    tables = Tables(Run.read(Path(folder)))
    parts = (tables.means(), tables.differences(), tables.bunches(), tables.heads(), tables.small())
    for part in parts:
        print("\n".join(part) + "\n")
    print(tables.best())


if __name__ == "__main__":
    main(*sys.argv[1:])
