"""The matched filter finds the patch whenever the data can tell."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from majorant.bench.limit import MatchedFilter
from majorant.forward.leadfield import Leadfield
from majorant.metrics.localisation import Localisation, Scores
from majorant.simulate.dataset import SereegaLike, SereegaSettings

Knowledge = Literal["known", "unknown"]


def judged(head: Leadfield, waveform: Knowledge, snr_db: float, n: int = 60) -> Scores:
    settings = SereegaSettings(snr_db=snr_db)
    data = SereegaLike(head, n, part="test", settings=settings)
    batch = data.batch(range(n))
    estimate = MatchedFilter(data, waveform).estimate(batch)
    return Localisation(head, data.sfreq).score(batch.x, estimate, batch.seed)


@pytest.mark.parametrize("waveform", ["known", "unknown"])
def test_almost_clean_data_are_explained_exactly(sphere: Leadfield, waveform: Knowledge) -> None:
    scores = judged(sphere, waveform, 80.0)
    assert float(scores.le.max()) == 0.0
    assert float(scores.auc.min()) == 100.0
    assert float(scores.psnr.min()) > 90.0


def test_the_filter_is_the_maximum_of_the_likelihood(sphere: Leadfield) -> None:
    data = SereegaLike(sphere, 5, part="test", dtype=torch.float64)
    batch = data.batch(range(5))
    seeds = torch.arange(300)
    for waveform in ("known", "unknown"):
        best = MatchedFilter(data, waveform).estimate(batch)
        left = (batch.y - data.operator().apply(best)).square().sum(dim=(1, 2))
        for row in range(3):
            seen = data.patches.maps(seeds, torch.full_like(seeds, row)) @ data.leadfield.gain.T
            course = torch.einsum("sn,bnt->bst", seen, batch.y) / seen.square().sum(1)[:, None]
            if waveform == "known":
                time = batch.time[:, None]
                size = (course * time).sum(-1, keepdim=True) / time.square().sum(-1, keepdim=True)
                course = size.clamp_min(0) * time
            explained = seen[None, :, :, None] * course[:, :, None, :]
            other = (batch.y[:, None] - explained).square().sum(dim=(2, 3)).amin(dim=1)
            assert bool((left <= other * (1 + 1e-9)).all())


def test_an_unknown_waveform_ignores_the_true_one(sphere: Leadfield) -> None:
    data = SereegaLike(sphere, 4, part="test")
    batch = data.batch(range(4))
    blind = batch.__class__(**{**vars(batch), "time": torch.zeros_like(batch.time)})
    search = MatchedFilter(data, "unknown")
    assert torch.equal(search.estimate(batch), search.estimate(blind))


@pytest.mark.parametrize("waveform", ["known", "unknown"])
def test_the_template_hides_nothing_at_5_db(template: Leadfield, waveform: Knowledge) -> None:
    found = judged(template, waveform, 5.0, 150).summary()
    assert found["le"].mean < 0.3
    assert found["auc"].mean > 99.0
    if waveform == "known":
        assert found["psnr"].mean > 105
    else:
        assert found["psnr"].mean == pytest.approx(57, abs=2)
    assert found["te"].mean == pytest.approx(0.0 if waveform == "known" else 0.7, abs=0.3)
