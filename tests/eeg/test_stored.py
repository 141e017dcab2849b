"""A fitted imager survives its file; a file that was tampered with is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant import Guard, SourceImager
from majorant.files.archive import read_archive, write_archive
from majorant.problem import DamagedFile, MajorantError


@pytest.fixture(scope="module")
def evoked(averages: list[Any]) -> Any:
    return averages[0].copy().pick("eeg", verbose="error")


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal up to the order in which sums are taken."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-11 * np.abs(expected).max()


@pytest.fixture
def stored(evoked: Any, sphere_forward: Any, tmp_path: Path) -> Path:
    imager = SourceImager("dspm", loose=0.3, snr="gcv", pick_ori="vector")
    return imager.fit(evoked.info, sphere_forward).save(tmp_path / "imager.safetensors")


@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("dspm", {"loose": 0.3, "pick_ori": "vector", "snr": "evidence"}),
        ("mne", {"depth": {"exp": 0.5}, "pick_ori": "normal"}),
        ("champagne", {"loose": 1, "max_iter": 3}),
    ],
)
def test_what_comes_back_images_the_same(
    solver: str, options: dict[str, Any], evoked: Any, sphere_forward: Any, tmp_path: Path
) -> None:
    imager = SourceImager(solver, **options).fit(evoked.info, sphere_forward)
    again = SourceImager.load(imager.save(tmp_path / "imager.safetensors"))
    assert repr(again) == repr(imager)
    found, expected = again.apply(evoked), imager.apply(evoked)
    assert type(found) is type(expected)
    assert_same(found.data, expected.data)
    assert again.snr_ == (None if imager.snr_ is None else pytest.approx(imager.snr_))
    assert again.notes_ == imager.notes_
    assert again.forward_ is None
    assert again.info_["ch_names"] == imager.info_["ch_names"]


def test_adaptive_filters_keep_what_they_learned(
    evoked: Any, sphere_forward: Any, tmp_path: Path
) -> None:
    cov = mne.make_ad_hoc_cov(evoked.info, std={"eeg": 1e-5}, verbose="error")
    imager = SourceImager("lcmv", loose=1).fit(evoked.info, sphere_forward, data_cov=cov)
    again = SourceImager.load(imager.save(tmp_path / "imager.safetensors"))
    assert_same(again.apply(evoked).data, imager.apply(evoked).data)


def test_regions_come_back_on_their_vertices(evoked: Any, tmp_path: Path) -> None:
    imager = SourceImager("mne", space="regions").fit(evoked.info)
    again = SourceImager.load(imager.save(tmp_path / "imager.safetensors"))
    found, expected = again.apply(evoked), imager.apply(evoked)
    assert found.subject == "fsaverage"
    assert all(map(np.array_equal, found.vertices, expected.vertices))
    assert_same(found.data, expected.data)


def test_a_file_that_is_not_there_or_cannot_be_written_is_said(
    evoked: Any, sphere_forward: Any, tmp_path: Path
) -> None:
    with pytest.raises(MajorantError, match="no imager file"):
        SourceImager.load(tmp_path / "none.safetensors")
    with pytest.raises(MajorantError, match="not fitted"):
        SourceImager("mne").save(tmp_path / "imager.safetensors")
    imager = SourceImager("mne").fit(evoked.info, sphere_forward)
    with pytest.raises(MajorantError, match="cannot be written"):
        imager.save(tmp_path / "nowhere" / "imager.safetensors")
    guarded = SourceImager("champagne", guard=Guard(window=1)).fit(evoked.info, sphere_forward)
    with pytest.raises(MajorantError, match="plain numbers and words"):
        guarded.save(tmp_path / "imager.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [10, 500, -20])
def test_a_file_that_was_altered_is_refused(stored: Path, place: int) -> None:
    data = bytearray(stored.read_bytes())
    data[place] ^= 0x41
    stored.write_bytes(bytes(data))
    with pytest.raises(DamagedFile, match="cannot be used"):
        SourceImager.load(stored)
    stored.write_bytes(bytes(data[: len(data) // 2]))
    with pytest.raises(DamagedFile, match="cannot be used"):
        SourceImager.load(stored)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t, r: t.update(prior=t["prior"][:-1]),
        lambda t, r: t.update(whitener=t["whitener"][:, 1:].contiguous()),
        lambda t, r: t["whitener"].fill_(float("nan")),
        lambda t, r: t.pop("axes"),
        lambda t, r: t["vertices.0"].fill_(3),
        lambda t, r: t["lead.gain"].fill_(float("inf")),
        lambda t, r: r["settings"].update(solver="os.system"),
        lambda t, r: r["settings"].update(max_iter=7),
        lambda t, r: r.update(ch_types=["stim"] * 32),
        lambda t, r: r.update(ch_names=["../a"] * 32),
        lambda t, r: r["space"].update(kind="torus"),
        lambda t, r: r["space"].update(parts=10**9),
        lambda t, r: r.update(settings=None),
        lambda t, r: r["lead"].update(path="/etc/passwd"),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(stored: Path, spoil: Any) -> None:
    tensors, record = read_archive(stored, kind="imager", version=1)
    spoil(tensors, record)
    write_archive(stored, tensors, record, kind="imager", version=1)
    with pytest.raises(DamagedFile, match="does not hold a fitted imager"):
        SourceImager.load(stored)
