"""Several conditions of one recording: one ruler for all, and a contrast with its own noise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
import torch

from majorant.cli.image import _folder
from majorant.errors import MajorantError
from majorant.findings.uncertainty_choice import _changes
from majorant.imaging.conditions import Conditions, image_conditions
from majorant.imaging.result import ImageSettings
from majorant.imaging.write import save_conditions
from majorant.recording.conditions import (
    alike,
    contrast,
    pooled_data_covariance,
    prepare_conditions,
    sides,
)
from majorant.recording.file import load_recording
from majorant.recording.prepare import Prepared
from majorant.recording.settings import Preparation
from majorant.report import conditions as page
from majorant.words import file_labels


@pytest.fixture(scope="module")
def prepared(files: dict[str, Path]) -> tuple[Prepared, ...]:
    asked = Preparation(event=("loud", "soft"))
    return prepare_conditions(load_recording(files["epochs"]), asked)


@pytest.fixture(scope="module")
def settings(sphere_forward: Any, tmp_path_factory: pytest.TempPathFactory) -> ImageSettings:
    path = tmp_path_factory.mktemp("head") / "sphere-fwd.fif"
    mne.write_forward_solution(path, sphere_forward, verbose="error")
    return ImageSettings("mne", loose=1, forward=str(path), uncertainty=20)


@pytest.fixture(scope="module")
def found(prepared: Sequence[Prepared], settings: ImageSettings) -> Conditions:
    return image_conditions(prepared, settings, "loud-soft")


def test_conditions_share_electrodes_and_noise(
    prepared: Sequence[Prepared], files: dict[str, Path]
) -> None:
    assert [p.evoked.comment for p in prepared] == ["loud", "soft"]
    assert prepared[0].noise_cov is prepared[1].noise_cov
    lost = prepared[0].evoked.copy().drop_channels(["Cz"])
    pair = alike([replace(prepared[0], evoked=lost), prepared[1]])
    assert all("Cz" not in p.evoked.ch_names for p in pair)
    assert pair[1].evoked.ch_names == lost.ch_names
    short = replace(prepared[1], evoked=prepared[1].evoked.copy().crop(0.0, 0.3))
    with pytest.raises(MajorantError, match="'loud' and 'soft' have different times"):
        alike([prepared[0], short])


def test_a_contrast_is_the_difference_wave_with_its_own_noise(prepared: Sequence[Prepared]) -> None:
    both = contrast(*prepared)
    theirs = mne.combine_evoked([p.evoked for p in prepared], [1, -1])
    np.testing.assert_allclose(both.evoked.data, theirs.data, atol=1e-18)
    assert both.evoked.nave == round(theirs.nave) == 7
    assert both.title.endswith("loud − soft")


def test_the_trials_of_both_sides_of_a_contrast_are_redrawn(prepared: Sequence[Prepared]) -> None:
    names = prepared[0].evoked.ch_names

    def spread(of: Prepared) -> np.ndarray:
        drawn = list(_changes(of, names, 400, torch.Generator().manual_seed(0)))
        return np.square(drawn).mean(axis=0)

    one, other, both = (spread(p) for p in (*prepared, contrast(*prepared)))
    assert both.mean() == pytest.approx(one.mean() + other.mean(), rel=0.05)


def test_a_contrast_is_read_though_names_hold_hyphens(prepared: Sequence[Prepared]) -> None:
    def called(*names: str) -> list[Prepared]:
        made = []
        for p, name in zip(prepared, names, strict=True):
            evoked = p.evoked.copy()
            evoked.comment = name
            made.append(replace(p, evoked=evoked))
        return made

    assert sides("loud-soft", prepared) == (0, 1)
    assert sides("Soft − LOUD", prepared) == (1, 0)
    assert sides("a-b-c", called("a-b", "c")) == (0, 1)
    for wrong in ("loud", "loud-loud", "loud-sift", "-"):
        with pytest.raises(MajorantError, match="write it as 'loud-soft'"):
            sides(wrong, prepared)


def test_every_estimate_is_its_own_and_the_scale_is_one(found: Conditions) -> None:
    assert found.names == ("loud", "soft", "loud − soft")
    contents = [result.content for result in found.results]
    largest = max(float(np.abs(c.sources.values).max()) for c in contents)
    assert [c.limit for c in contents] == [largest] * 3
    assert len({id(result.imager) for result in found.results}) == 3
    for result in found.results:
        # Each result's imager remembers its own solution, not that of the last.
        again = result.imager.solution_.estimate[0].numpy().reshape(-1, 3, 71)
        np.testing.assert_allclose(np.linalg.norm(again, axis=1), result.content.sources.values)
    assert "28 trials" in str(contents[2].uncertainty and contents[2].uncertainty.how)
    assert contents[2].uncertainty is not None
    assert contents[2].uncertainty.name == "standard deviation over trials"


def test_the_summary_tells_all_and_each_others_peaks(found: Conditions) -> None:
    told = json.loads(json.dumps(found.summary(), default=str))
    assert [c["name"] for c in told["conditions"]] == ["loud", "soft"]
    assert told["contrast"]["of"] == ["loud", "soft"]
    assert told["title"].endswith("loud, soft")
    row = told["at_peaks"][0]
    peak = found.results[0].content.peaks[0]
    assert row["amplitudes"]["loud"] == pytest.approx(peak.amplitude)
    assert set(row["amplitudes"]) == set(found.names)


def test_one_folder_and_one_page_hold_all(
    found: Conditions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "SMALL", 40)
    monkeypatch.setattr(page, "MEDIUM", 40)
    pair = replace(found, names=found.names[:2], results=found.results[:2], sides=None)
    save_conditions(pair, tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text("utf-8")
    ids = [part.split('"')[0] for part in text.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
    assert text.count('class="explorer"') == 2
    limit = json.dumps(found.results[0].content.limit)
    assert text.count(f'"limit":{limit}') == 2
    told = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert told["estimates"] == ["estimate-loud", "estimate-soft"]
    assert told["contrast"] is None
    for name, result in zip(told["estimates"], pair.results, strict=True):
        (file,) = (tmp_path / "out").glob(f"{name}*")
        read = mne.read_source_estimate(file)
        np.testing.assert_allclose(read.data, result.stc.data, rtol=1e-5, atol=1e-16)


def test_a_beamformer_has_one_filter_for_all_conditions(
    prepared: Sequence[Prepared], settings: ImageSettings
) -> None:
    pooled = pooled_data_covariance(prepared)
    assert pooled is not None
    assert "from the 28 trials of all conditions" in pooled[1]
    own = replace(settings, solver="lcmv", uncertainty="none")
    made = image_conditions(prepared, own)
    assert any(pooled[1] in d for d in made.results[1].content.decisions)
    first, second = (result.imager.inverse for result in made.results)
    assert first is second


def test_names_of_files_are_safe_and_never_alike() -> None:
    assert file_labels(["Go/left", "go left", "../x", "日本"]) == [
        "Go-left", "go-left-2", "x", "condition",
    ]  # fmt: skip


def test_default_folders_name_recording_conditions_and_solver() -> None:
    own, file = "dspm", Path("a/rec-ave.fif.gz")
    assert _folder(file, Preparation(), own, False) == "rec-ave-dspm"
    assert _folder(file, Preparation(condition="Left Aud"), own, False) == "rec-ave-Left-Aud-dspm"
    both = Preparation(event=("go", "../no"))
    assert _folder(file, both, own, False) == "rec-ave-go-no-dspm"
    assert _folder(file, Preparation(), own, True) == "rec-ave-raw-dspm"
    assert _folder(None, Preparation(), own, False) == "demo-dspm"
