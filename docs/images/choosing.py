"""Localisation error by signal-to-noise ratio, for `docs/choosing.md`: table and picture.

One patch of cortex at a time, 90 electrodes, the packaged lead field for data and for solvers. Run
it from the root of the repository; it takes about two minutes.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import torch

mpl.use("agg")
import matplotlib.pyplot as plt

from majorant import Leadfield, make, solve
from majorant.metrics.localisation import Interval, Localisation, bootstrap
from majorant.simulate.dataset import SereegaLike, SereegaSettings

LEVELS = (-5.0, 0.0, 5.0, 10.0, 20.0)
SAMPLES = 60
SOLVERS = {
    "mne": ("mne", {}),
    "sloreta": ("sloreta", {}),
    "auto": ("auto", {}),
    "unfolded-sbl": ("unfolded-sbl", {}),
    "mm-net, general": ("mm-net", {"weights": "general"}),
    "mm-net, sereega": ("mm-net", {"weights": "sereega"}),
}


def errors(name: str, level: float) -> torch.Tensor:
    """Localisation error of every sample, mm, shape (SAMPLES,)."""
    known, options = SOLVERS[name]
    settings = SereegaSettings(snr_db=level)
    data = SereegaLike(Leadfield.template_small(), SAMPLES, 777, part="test", settings=settings)
    judge, solver = Localisation(data.leadfield, data.sfreq), make(known, **options)
    found = []
    for batch in data.batches(20):
        estimate = solve(data.problem(batch), solver).estimate.to(batch.y.dtype)
        found.append(judge.score(batch.x, estimate, batch.seed).le)
    return torch.cat(found)


def main() -> None:
    """Print the table and draw it."""
    print("| solver | " + " | ".join(f"{level:g} dB" for level in LEVELS) + " |")
    print("|---|" + "---|" * len(LEVELS))
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for name in SOLVERS:
        found: list[Interval] = [bootstrap(errors(name, level)[:, None])[0] for level in LEVELS]
        cells = [f"{i.mean:.1f} ({i.low:.1f} to {i.high:.1f})" for i in found]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        low, high = [i.low for i in found], [i.high for i in found]
        line = axis.plot(LEVELS, [i.mean for i in found], "o-", label=name)[0]
        axis.fill_between(LEVELS, low, high, color=line.get_color(), alpha=0.15)
    axis.set(xlabel="signal-to-noise ratio, dB", ylabel="localisation error, mm", ylim=(0, None))
    axis.legend(frameon=False)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
