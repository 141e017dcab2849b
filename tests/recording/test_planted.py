"""A source planted in recordings as they are: found where it is, or refused by its cause.

Some are run each time, from a file; all of them, through both doors, with
``MAJORANT_EVERY_RECORDING=1 pytest tests/recording`` (two minutes of a processor).
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant import SourceImager
from majorant.account import Account
from majorant.head.places import locate
from majorant.imaging.image import image
from majorant.imaging.result import ImageSettings
from majorant.problem import MajorantError
from majorant.recording.file import load_recording
from majorant.recording.montage import place, read_montage
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation

_spec = importlib.util.spec_from_file_location("planted", Path(__file__).with_name("planted.py"))
assert _spec is not None
assert _spec.loader is not None
planted = importlib.util.module_from_spec(_spec)
sys.modules["planted"] = planted
_spec.loader.exec_module(planted)

CASES = planted.cases()
ALWAYS = (
    "cleaned by ICA, EDF", "interpolated", "each its own ear", "x to the nose",
    "on a sphere, one unknown", "one in millivolts",
)  # fmt: skip
EVERY = bool(os.environ.get("MAJORANT_EVERY_RECORDING"))
CHOSEN = list(CASES) if EVERY else list(ALWAYS)
SETTINGS = ImageSettings("sloreta", space=planted.SPACE, uncertainty="none")
"""Of what is tried here solvers have no part; this one has no error of its own."""


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    """Where the source is, MNI mm."""
    places = planted.seen(tuple(planted.NAMES))[1]
    return places[np.linalg.norm(places - np.array(planted.NEAR), axis=1).argmin()]


def by_command(written: Any) -> np.ndarray:
    prepared = prepare(load_recording(written.path), Preparation(**written.settings))
    return np.array(image(prepared, SETTINGS).peaks[0].mni)


def by_python(written: Any) -> np.ndarray:
    """As a user of MNE would: read, cut, average, fit to the data, apply."""
    data = load_recording(written.path).data
    data = data[0] if isinstance(data, list | tuple) else data
    data = data.copy()
    # MNE's own door to a montage refuses pairs of electrodes, each in its own words.
    if "montage" in written.settings and written.refused != "bipolar derivations":
        place(data, read_montage(written.settings["montage"]), Account())
    if "scale" in written.settings:
        data.load_data().apply_function(lambda x: written.settings["scale"] * x)
    fitted = planted.trials(data) if isinstance(data, mne.io.BaseRaw) else data
    imager = SourceImager("sloreta", space=planted.SPACE).fit(fitted)
    average = fitted.average() if isinstance(fitted, mne.BaseEpochs) else fitted
    stc = imager.apply(average)
    return np.asarray(locate(imager.leadfield_).mni)[np.abs(stc.data).max(axis=1).argmax()]


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("door", [by_command, by_python] if EVERY else [by_command])
def test_a_planted_source_is_found_or_the_cause_is_named(
    name: str, door: Any, source: np.ndarray, tmp_path: Path
) -> None:
    written = CASES[name](tmp_path)
    if door is by_python and "reference" in written.settings:
        pytest.skip("a reference electrode is added by mne.add_reference_channels")
    if written.refused is not None:
        with pytest.raises(MajorantError, match=written.refused):
            door(written)
        return
    found = door(written)
    assert np.linalg.norm(found - source) <= 1.0
