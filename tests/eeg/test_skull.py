"""What a recording says about the skull: curves, calibration, and the statement that it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from majorant.forward.bank import SPLITS, HeadSpread, _skull
from majorant.head.skull import SKULLS, Heard, SkullGrid, SkullSaid, calibrated, hear
from majorant.head.skull_recording import FEWEST, N_TIMES, listen
from majorant.problem import MajorantError

N, PLACES, TRUE = 16, 30, 6


@pytest.fixture(scope="module")
def grid() -> SkullGrid:
    """Nine heads whose topographies have nothing to do with each other."""
    generator = torch.Generator().manual_seed(0)
    gain = torch.randn(9, N, 3 * PLACES, generator=generator, dtype=torch.float64)
    bases = gain.mT.reshape(9, PLACES, 3, N)
    moments = gain @ gain.mT
    moments = moments * N / moments.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    rows = torch.eye(N, dtype=torch.float64)
    return SkullGrid(torch.linalg.qr(bases.mT).Q.mT.float(), moments, rows)


def curve(at: float, height: float) -> np.ndarray:
    """A likelihood over the nine skulls with its top at a logarithm."""
    return -height * (np.log(SKULLS) - at) ** 2


def recordings(n: int, seed: int, height: float) -> list[Heard]:
    """Curves whose top is the truth up to a bias and a spread; or say nothing (height 0)."""
    rng = np.random.default_rng(seed)
    out = []
    for skull in np.exp(rng.uniform(*np.log(SKULLS[[0, -1]]), n)):
        tops = np.log(skull) + 0.2 + 0.15 * rng.standard_normal(2)
        noise = rng.standard_normal((2, 9))
        parts = [curve(top, height) + 0.05 * e for top, e in zip(tops, noise, strict=True)]
        out.append(Heard(parts[0], parts[1], float(skull)))
    return out


def test_curves_have_their_top_at_the_true_skull(grid: SkullGrid) -> None:
    rng = np.random.default_rng(1)
    places = rng.integers(PLACES, size=20)
    topographies = grid.bases[TRUE, places, 0].double()
    course = torch.from_numpy(rng.standard_normal((20, 1, N_TIMES)))
    windows = topographies[:, :, None] * course
    windows = windows + 0.1 * torch.from_numpy(rng.standard_normal(tuple(windows.shape)))
    heard = hear(grid, windows, 3.0 * grid.moments[TRUE], 0.1)
    assert int(heard.windows.argmax()) == TRUE
    assert int(heard.rest.argmax()) == TRUE


def test_what_curves_say_is_learned_and_held_by_its_intervals() -> None:
    made = calibrated(recordings(80, 0, 3.0))
    test = recordings(200, 1, 3.0)
    said = [made.says(row) for row in test]
    assert all(one.told for one in said)
    factor = np.abs(np.log([one.skull / row.skull for one, row in zip(said, test, strict=True)]))
    assert np.mean(factor < np.log(1.4)) > 0.8
    held = [one.low < row.skull < one.high for one, row in zip(said, test, strict=True)]
    assert 0.82 < np.mean(held) < 0.97
    weights = said[0].weights(SKULLS)
    assert weights.sum() == pytest.approx(1)
    assert abs(np.log(SKULLS[weights.argmax()] / said[0].skull)) < 0.15
    assert "S/m" in said[0].sentence()


def test_a_recording_that_tells_nothing_is_said_to() -> None:
    made = calibrated(recordings(80, 2, 0.0))
    one = made.says(recordings(1, 3, 0.0)[0])
    assert not one.told
    assert "does not tell" in one.sentence()
    with pytest.raises(MajorantError, match="at least 20"):
        calibrated(recordings(5, 0, 3.0))


def test_heads_are_drawn_as_likely_as_the_recording_makes_them() -> None:
    said = SkullSaid(0.009, 0.0075, 0.0108, told=True, spread=0.11, prior=0.33, n=60)
    usual = HeadSpread()
    plain, drawn = (
        np.log([_skull(s, SPLITS["train"], np.random.default_rng(k)) for k in range(400)])
        for s in (usual, said.weighted(usual))
    )
    assert abs(drawn.mean() - np.log(0.009)) < 0.03
    assert 0.08 < drawn.std() < 0.14 < plain.std()
    # The same in the mean as the weights of heads that are drawn alike.
    assert said.weights(np.exp(plain)) @ plain == pytest.approx(drawn.mean(), abs=0.04)
    nothing = replace(said, told=False)
    assert nothing.weighted(usual) == usual
    assert np.array_equal(nothing.weights(SKULLS), np.full(9, 1 / 9))
    # What lies outside of all bins draws the nearest.
    far = said.weighted(replace(usual, said=None))
    assert _skull(replace(far, said=(0.1, 0.05)), (0, 14), np.random.default_rng(0)) > 0.012
    with pytest.raises(MajorantError, match="above 0"):
        replace(usual, said=(0.009, 0.0))


def test_windows_are_cut_at_peaks_with_their_ratio() -> None:
    rng, sfreq = np.random.default_rng(0), 250.0
    data = 0.1 * rng.standard_normal((N, 5000))
    beats = np.arange(100, 4900, 100)
    pattern = rng.standard_normal(N)
    pattern -= pattern.mean()
    for beat in beats:
        data[:, beat - 10 : beat + 10] += pattern[:, None] * np.hanning(20)
    found = listen(data, sfreq)
    assert found.windows.shape[1:] == (N, N_TIMES)
    assert FEWEST <= len(found.windows) <= 60
    strong = found.snr_db[: len(beats)]
    assert (strong > 10).all()
    assert 0 < found.noise < 0.5
    with pytest.raises(MajorantError, match="at least 12"):
        listen(data[:, :200], sfreq)
