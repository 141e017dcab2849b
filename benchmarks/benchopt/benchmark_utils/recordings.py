"""Recordings with known sources as MNE's objects, and who judges estimates of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from majorant.bench.everyday_set import HEADS, SFREQ, Cell, TestSet, space_of
from majorant.forward.bank import HeadSpread
from majorant.forward.leadfield import average_reference
from majorant.head.template import template_forward
from majorant.metrics.everyday import Judge
from majorant.metrics.transport import SparseJudge
from majorant.simulate.invertmeeg import InvertMEEG

EXACT = HeadSpread((0.006, 0.006), (0, 0), (0, 0), (0, 0), (0, 0), shapes=1)
MOVED = HeadSpread((0.006, 0.006), (4, 4), (0, 0), (0, 0), (0, 0), shapes=1)
ALL_HEADS = {**HEADS, "exact": EXACT, "moved": MOVED}


def on_the_template(cell: Cell, n: int, seed: int) -> dict[str, Any]:
    """Recordings of a cell of `majorant bench everyday`, on one head and any other one.

    Parameters
    ----------
    cell : Cell
    n : int
        Recordings.
    seed : int
    """
    test = TestSet(seed, n, sites=1, heads=ALL_HEADS)
    (site,) = test.sites((cell,))
    made = test.recorded(site, cell)
    believed = template_forward(made.info)
    judge = Judge(space_of(believed.leadfield), SFREQ)
    return {
        "recordings": [(evoked, made.noise_cov) for evoked in made.evoked],
        "forward": believed.forward,
        "judge": lambda k, values: judge.score(made.truths[k], values),
    }


def of_invertmeeg(recipe: str, n: int, seed: int) -> dict[str, Any]:
    """Recordings of one of invertmeeg's published sets."""
    import mne

    info = mne.create_info(mne.channels.make_standard_montage("biosemi32").ch_names, 100.0, "eeg")
    info.set_montage("biosemi32")
    believed = template_forward(info, "ico2")
    lead = believed.leadfield.fixed()
    data = InvertMEEG(recipe, lead, n=n, seed=seed)  # type: ignore[arg-type]
    batch = data.batch(range(n))
    back = average_reference(lead.n_sensors).T
    volts, covs = back @ batch.y, back @ batch.noise_cov @ back.T
    scale = 1e-6 / float(covs.diagonal(dim1=1, dim2=2).mean().sqrt())  # noise of 1 uV
    judge = SparseJudge(lead)

    def score(k: int, values: np.ndarray) -> dict[str, float]:
        estimate = torch.from_numpy(values)[None] / scale
        scores = judge.score(batch.x[k : k + 1], estimate, batch.seeds[k : k + 1])
        return {name: float(getattr(scores, name)) for name in ("emd", "auc", "f1")}

    return {
        "recordings": [
            (
                mne.EvokedArray(scale * y.numpy(), info, nave=1, verbose="error"),
                mne.Covariance(scale**2 * cov.numpy(), info["ch_names"], [], [], 1000),
            )
            for y, cov in zip(volts, covs, strict=True)
        ],
        "forward": believed.forward,
        "judge": score,
    }
