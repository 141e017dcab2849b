"""A windowed solver from outside is imaged, streamed and audited as those of the package are."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import mne
import numpy as np
import pytest
import torch

from majorant import SourceImager
from majorant.forward.leadfield import Leadfield
from majorant.imager.inverse import Job
from majorant.live.engine import WindowEngine, check_follows, engine_for
from majorant.live.regions import find_regions
from majorant.registry import _SOLVERS, spec

EXAMPLE = Path(__file__).parents[2] / "examples" / "windowed_solver.py"
NAME = "windowed-mm"


@pytest.fixture(scope="module", autouse=True)
def example() -> Iterator[None]:
    """The example, run as a module of its own, and forgotten afterwards."""
    module = ModuleType("windowed_solver")
    sys.modules["windowed_solver"] = module
    module.__dict__.update(runpy.run_path(str(EXAMPLE), run_name="windowed_solver"))
    yield
    _SOLVERS.pop(NAME)
    sys.modules.pop("windowed_solver")


@pytest.fixture(scope="module")
def imager() -> SourceImager:
    names = Leadfield.template_small().ch_names[:16]
    info = mne.create_info(list(names), 200.0, "eeg", verbose="error")
    info.set_montage("standard_1005", verbose="error")
    return SourceImager(NAME, space="regions").fit(info)


def noise(n: int, n_times: int) -> np.ndarray:
    return 1e-6 * np.random.default_rng(0).standard_normal((n, n_times))


def test_an_average_is_cut_into_its_windows_and_joined(imager: SourceImager) -> None:
    evoked = mne.EvokedArray(noise(16, 200), imager.info_, nave=4, verbose="error")
    stc = imager.apply(evoked)
    assert stc.data.shape[1] == 200
    assert imager.solution_.details["windows"] == 9
    assert imager.certificate_.holds()


def test_continuous_data_are_streamed_as_one_call_gives_them(imager: SourceImager) -> None:
    raw = mne.io.RawArray(noise(16, 240), imager.info_, verbose="error")
    pieces = np.concatenate([piece.data for piece in imager.stream(raw)], axis=1)
    y = imager.inverse.white(raw.get_data(), 1)[None]
    at_once = imager.inverse.solve(y, Job(1, 200.0, None)).estimate[0]
    regions = imager.leadfield_.n_locations
    assert pieces.shape[1] == at_once.shape[1] == 240
    assert at_once.shape[0] == regions
    assert imager.certificate_.holds()


def test_it_follows_a_stream(imager: SourceImager) -> None:
    check_follows(spec(NAME))
    engine = engine_for(imager, find_regions(imager.leadfield_, ("occipital",)), 200.0)
    assert isinstance(engine, WindowEngine)
    assert engine.length == 40
    assert engine.push(noise(16, 40)).shape[1] == 40
    certificate = engine.certificate()
    assert certificate is not None
    assert len(certificate.energy) == spec(NAME).abilities.live + 1
    assert bool(torch.isfinite(certificate.energy).all())
