"""Two doors, one answer: a file through `image`, and its data through `SourceImager`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
from mne.io.constants import FIFF

from majorant import SourceImager
from majorant.forward.surfaces import vertex_normals
from majorant.imaging.image import image
from majorant.imaging.result import ImageResult, ImageSettings
from majorant.problem import MajorantError
from majorant.recording.file import load_recording
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation
from majorant.registry import SOLVERS

QUICK: dict[str, dict[str, Any]] = {"champagne": {"max_iter": 5}}
EXACT = 1e-12
ABOUT_FILES = ("Read", "Condition", "Averaged", "Source space", "Regularisation", "Left out: MEG")
"""How sentences begin that say which file and trials were read, or what a solver did then."""


@cache
def trials(nave: int) -> Any:
    """Trials of 32 electrodes, 0.7 s at 100 Hz; the reference is one electrode."""
    montage = mne.channels.make_standard_montage("biosemi32")
    info = mne.create_info(montage.ch_names, 100.0, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    rng = np.random.default_rng(nave)
    data = 4e-6 * rng.standard_normal((nave, 32, 71))
    shape = np.linspace(-1, 1, 32) ** 3
    data += 1e-5 * shape[:, None] * np.exp(-(((np.arange(71) - 30) / 4) ** 2))
    data -= data[:, [5]] * 0.5
    events = np.c_[100 * np.arange(nave), np.zeros(nave, int), np.ones(nave, int)]
    return mne.EpochsArray(data, info, events, tmin=-0.2, baseline=(None, 0), verbose="error")


@cache
def forward() -> Any:
    """Two small hemispheres in a sphere."""
    sphere = mne.make_sphere_model((0, 0, 0.04), 0.095, verbose="error")
    ico = mne.surface._get_ico_surface(1)
    sides = []
    for x, ident in ((-0.035, 101), (0.035, 102)):
        places, n = 0.03 * ico["rr"] + [x, 0, 0.04], len(ico["rr"])
        sides.append(
            {
                "id": ident, "type": "surf", "np": n, "nuse": n, "rr": places,
                "nn": vertex_normals(places, ico["tris"]), "vertno": np.arange(n),
                "inuse": np.ones(n, int), "coord_frame": np.int32(4), "tris": ico["tris"],
                "ntri": len(ico["tris"]), "nuse_tri": len(ico["tris"]), "use_tris": ico["tris"],
                "nearest": None, "nearest_dist": None, "pinfo": None, "patch_inds": None,
                "dist": None, "dist_limit": None, "subject_his_id": "ada",
            }
        )  # fmt: skip
    return mne.make_forward_solution(
        trials(40).info, None, mne.SourceSpaces(sides), sphere, mindist=0.0, verbose="error"
    )


def _average(nave: int, *, baseline: bool = True) -> Any:
    evoked = trials(nave).average()
    return evoked if baseline else evoked.crop(0, None)


def _bads(evoked: Any) -> Any:
    evoked.info["bads"] = ["Oz", "P3"]
    return evoked


def _projected(evoked: Any) -> Any:
    vector = np.linspace(1, -1, 32)[None]
    data: dict[str, Any] = {"nrow": 1, "ncol": 32, "row_names": None}
    data.update(col_names=evoked.ch_names, data=vector / np.linalg.norm(vector))
    kind = FIFF.FIFFV_PROJ_ITEM_FIELD
    evoked.add_proj(mne.Projection(active=False, kind=kind, desc="one", data=data))
    return evoked.set_eeg_reference("average", projection=True, verbose="error")


def _of_some(evoked: Any) -> Any:
    evoked = _bads(evoked).set_eeg_reference("average", projection=True, verbose="error")
    evoked.info["bads"] = []
    return evoked.apply_proj(verbose="error")


def _interpolated(epochs: Any) -> Any:
    epochs = _bads(epochs.copy()).interpolate_bads(reset_bads=True, verbose="error")
    return epochs


def _cleaned(epochs: Any) -> Any:
    maps = np.random.default_rng(7).standard_normal((32, 4))
    epochs = epochs.copy()
    epochs._data = epochs._data - maps @ (np.linalg.pinv(maps) @ epochs._data)
    return epochs


def _with_meg(evoked: Any) -> Any:
    info = mne.create_info(["MEG1", "MEG2"], 100.0, "mag", verbose="error")
    meg = mne.EvokedArray(
        np.full((2, len(evoked.times)), 1e-13), info, evoked.times[0], nave=evoked.nave,
        baseline=evoked.baseline, verbose="error",
    )  # fmt: skip
    return evoked.add_channels([meg], force_update_info=True)


def _drifting(evoked: Any) -> Any:
    """One electrode departs from all others after the event."""
    evoked.data[evoked.ch_names.index("F3")] += 4e-5 * np.clip(evoked.times, 0, None)
    return evoked


def _turned(evoked: Any) -> Any:
    places = {c["ch_name"]: [c["loc"][1], -c["loc"][0], c["loc"][2]] for c in evoked.info["chs"]}
    return evoked.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))


RECORDINGS: dict[str, Callable[[], Any]] = {
    "no baseline, one trial": lambda: _average(1, baseline=False),
    "no baseline, forty trials": lambda: _average(40, baseline=False),
    "a baseline, one trial": lambda: _average(1),
    "a baseline, forty trials": lambda: _average(40),
    "trials": lambda: trials(40),
    "bad electrodes": lambda: _bads(_average(40)),
    "projectors": lambda: _projected(_average(40)),
    "a reference over some": lambda: _of_some(_average(40)),
    "MEG beside it": lambda: _with_meg(_average(40)),
    "interpolated": lambda: _interpolated(trials(40)),
    "cleaned": lambda: _cleaned(trials(40)),
    "an electrode that drifts": lambda: _drifting(_average(40)),
}


def _by_file(
    inst: Any, folder: Path, solver: str, rank: Any = None, lone: Any = "doubt", **settings: Any
) -> ImageResult:
    """Through a file, as `majorant image` does."""
    path = folder / ("some-epo.fif" if isinstance(inst, mne.BaseEpochs) else "some-ave.fif")
    inst.copy().save(path, overwrite=True, verbose="error")
    own = ImageSettings(
        solver, options=QUICK.get(solver, {}), uncertainty="none", **settings
    )  # fmt: skip
    return image(prepare(load_recording(path), Preparation(rank=rank, lone=lone)), own)


def _by_data(
    inst: Any, solver: str, given: Any = None, rank: Any = None, lone: Any = "doubt"
) -> tuple[SourceImager, Any]:
    """Through the data in memory, as a user of MNE does."""
    imager = SourceImager(solver, rank=rank, lone=lone, **QUICK.get(solver, {})).fit(inst, given)
    return imager, imager.apply(inst.average() if isinstance(inst, mne.BaseEpochs) else inst)


def _as_saved(inst: Any, folder: Path) -> Any:
    """The data as they come back from a file, in its precision."""
    if isinstance(inst, mne.BaseEpochs):
        return mne.read_epochs(folder / "some-epo.fif", verbose="error")
    return mne.read_evokeds(folder / "some-ave.fif", 0, verbose="error")


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("head") / "some-fwd.fif"
    mne.write_forward_solution(path, forward(), verbose="error")
    return path


ITERATED = ("a baseline, forty trials",)
"""Recordings for solvers that iterate, which have no part in the decisions."""

PAIRS = [
    (recording, name)
    for name, own in SOLVERS.items()
    for recording in RECORDINGS
    if own.abilities.space == "any"
    and (own.abilities.linear or own.abilities.adaptive or recording in ITERATED)
]


@pytest.mark.parametrize(("recording", "solver"), PAIRS)
def test_both_doors_give_one_answer(
    recording: str, solver: str, head: Path, tmp_path: Path
) -> None:
    inst = RECORDINGS[recording]()
    # These random data have a lone electrode; doubting it, the doors of LCMV differ by 1.6e-12.
    odd = solver == "lcmv" and recording == "no baseline, forty trials"
    lone = "believe" if odd else "doubt"
    result = _by_file(inst, tmp_path, solver, forward=str(head), lone=lone)
    given = mne.read_forward_solution(head, verbose="error")
    imager, stc = _by_data(_as_saved(inst, tmp_path), solver, given, lone=lone)
    assert imager.unit_ == result.unit
    assert imager.info_["ch_names"] == result.imager.info_["ch_names"]
    assert imager.rank_ == result.imager.rank_
    ours, theirs = stc.data, result.stc.data
    assert np.abs(ours - theirs).max() <= EXACT * np.abs(theirs).max()
    _same_decisions(imager, result)


@pytest.mark.parametrize("lone", ["doubt", "believe"])
def test_an_electrode_that_drifts_is_treated_alike(lone: str, head: Path, tmp_path: Path) -> None:
    evoked = _drifting(_average(40))
    evoked.save(tmp_path / "some-ave.fif", verbose="error")
    prepared = prepare(load_recording(tmp_path / "some-ave.fif"), Preparation(lone=lone))
    own = ImageSettings("sloreta", forward=str(head), uncertainty="none")
    result = image(prepared, own)
    given = mne.read_forward_solution(head, verbose="error")
    imager = SourceImager("sloreta", lone=lone).fit(_as_saved(evoked, tmp_path), given)
    assert result.imager.lone == imager.lone == lone
    assert np.allclose(imager.noise_cov_["data"], result.imager.noise_cov_["data"], rtol=1e-12)
    (found,) = prepared.lone
    assert found.name == "F3"
    assert found.doubted == (lone == "doubt")
    said = found.sentence()
    assert said in imager.notes_
    assert result.summary()["cautions"][0] == said
    assert result.summary()["lone_electrodes"][0]["name"] == "F3"
    k = result.imager.info_["ch_names"].index("F3")
    grown = result.imager.noise_cov_["data"][k, k] / 40 > found.largest**2
    assert grown == (lone == "doubt")


RANKS = [
    ("cleaned", None, 28), ("cleaned", "info", 31), ("cleaned", "full", 31),
    ("cleaned", {"eeg": 20}, 20), ("interpolated", {"eeg": 29}, 29),
    ("a baseline, one trial", {"eeg": 9}, 9),
]  # fmt: skip


@pytest.mark.parametrize(("recording", "rank", "found"), RANKS)
def test_a_rank_that_is_said_holds_at_both_doors(
    recording: str, rank: Any, found: int, head: Path, tmp_path: Path
) -> None:
    inst = RECORDINGS[recording]()
    result = _by_file(inst, tmp_path, "sloreta", rank, forward=str(head))
    given = mne.read_forward_solution(head, verbose="error")
    imager, stc = _by_data(_as_saved(inst, tmp_path), "sloreta", given, rank)
    assert imager.rank_ == result.imager.rank_ == found
    assert np.abs(stc.data - result.stc.data).max() <= EXACT * np.abs(stc.data).max()
    _same_decisions(imager, result)
    # The noise is white in as many dimensions, and the reference's empty one is none of them.
    white = imager.whitener_ @ imager.noise_cov_["data"] @ imager.whitener_.T
    assert np.allclose(white, np.eye(found), atol=1e-6)
    assert np.abs(imager.whitener_ @ np.ones(len(imager.info_["ch_names"]))).max() < 1e-3 * (
        np.abs(imager.whitener_).max()
    )


@pytest.mark.parametrize("rank", ["all", 20, {"eeg": 0}, {"eeg": 2.5}, {"ecg": 3}, {"eeg": 32}])
def test_a_rank_that_cannot_be_is_refused(rank: Any, tmp_path: Path) -> None:
    said = "projectors leave 31" if rank == {"eeg": 32} else "the rank is"
    for door in (
        lambda: _by_file(_average(40), tmp_path, "mne", rank),
        lambda: _by_data(_average(40), "mne", rank=rank),
        lambda: _by_data(_average(40).info, "mne", rank=rank),
    ):
        with pytest.raises(MajorantError, match=said):
            door()


def test_a_rank_beyond_that_of_the_noise_is_refused() -> None:
    evoked = _average(40)
    few = np.random.default_rng(0).standard_normal((32, 12)) * 1e-6
    cov = mne.Covariance(few @ few.T, evoked.ch_names, [], [], 12)
    with pytest.raises(MajorantError, match="rank 12 in the EEG and rank='full' asks for 31"):
        SourceImager("mne", rank="full").fit(evoked.info, forward(), cov)


def _same_decisions(imager: SourceImager, result: ImageResult) -> None:
    """All that the data decide is decided, and said, by both."""
    said = set(result.content.decisions)
    assert set(imager.notes_) <= said
    more = [
        text
        for text in said - set(imager.notes_)
        if not text.startswith((*ABOUT_FILES, imager.spec_.title, "Data covariance", "No baseline"))
    ]
    assert not [text for text in more if "some-" not in text]


def test_data_that_lack_what_was_fitted_are_refused(tmp_path: Path) -> None:
    """A projector that was applied since, or a channel that went bad, would be taken for data."""
    evoked = _average(40)
    imager = SourceImager("mne").fit(evoked.info, forward())
    loaded = SourceImager.load(imager.save(tmp_path / "some-imager.safetensors"))
    projected = _projected(_average(40)).apply_proj(verbose="error")
    for one in (imager, loaded):
        with pytest.raises(MajorantError, match="projector 'one' was applied to the data"):
            one.apply(projected)
        with pytest.raises(MajorantError, match="the data mark P3, Oz as bad"):
            one.apply(_bads(_average(40)))
    again = SourceImager("mne").fit(projected.info, forward())
    whole = _projected(_average(40))
    kept = SourceImager.load(again.save(tmp_path / "other-imager.safetensors"))
    # Whoever was fitted with the projector takes data before and after it, and gives one answer.
    answers = [one.apply(inst).data for one in (again, kept) for inst in (projected, whole)]
    for answer in answers:
        assert np.allclose(answer, answers[0], rtol=1e-9, atol=1e-20)


def _gradiometers(grade: int) -> Any:
    """Axial gradiometers, compensated to a grade as CTF's software does."""
    rng = np.random.default_rng(0)
    info = mne.create_info([f"MLC{k}" for k in range(30)], 100.0, "mag", verbose="error")
    out = rng.standard_normal((30, 3)) * [1, 1, 0.2] + [0, 0, 1]
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    with info._unlock():
        for channel, normal in zip(info["chs"], out, strict=True):
            first = np.cross(normal, [1.0, 0.0, 0.3])
            first /= np.linalg.norm(first)
            second = np.cross(normal, first)
            channel["loc"] = np.concatenate([0.12 * normal, first, second, normal])
            channel["coil_type"] = FIFF.FIFFV_COIL_CTF_GRAD | grade << 16
        info["dev_head_t"] = mne.Transform("meg", "head", np.eye(4))
    return info


def test_gradient_compensation_is_that_of_the_forward_and_of_the_fit(tmp_path: Path) -> None:
    plain, third = _gradiometers(0), _gradiometers(3)
    sphere = mne.make_sphere_model((0, 0, 0), 0.09, verbose="error")
    space = mne.setup_volume_source_space(
        pos=30.0, sphere=sphere, sphere_units="m", exclude=10.0, verbose="error"
    )
    given = mne.make_forward_solution(plain, None, space, sphere, verbose="error")
    cov = mne.make_ad_hoc_cov(plain, verbose="error")
    imager = SourceImager("mne", loose=1)
    with pytest.raises(MajorantError, match=r"grade 3 and the forward.* of grade 0; bring"):
        imager.fit(third, given, cov)
    with given["info"]._unlock():
        given["info"]["chs"] = third["chs"]
    imager.fit(third, given, cov)
    loaded = SourceImager.load(imager.save(tmp_path / "some-imager.safetensors"))
    data = np.full((30, 3), 1e-13)
    for one in (imager, loaded):
        one.apply(mne.EvokedArray(data, third, verbose="error"))
        with pytest.raises(MajorantError, match=r"grade 0 and the channels .* of grade 3; bring"):
            one.apply(mne.EvokedArray(data, plain, verbose="error"))


def test_both_doors_refuse_alike(tmp_path: Path) -> None:
    evoked = _average(40)
    evoked.data *= 1e6
    for door in (lambda: _by_file(evoked, tmp_path, "mne"), lambda: _by_data(evoked, "mne")):
        with pytest.raises(MajorantError, match="in another unit"):
            door()


def test_assumed_noise_is_that_of_a_trial(tmp_path: Path, head: Path) -> None:
    """The noise of an average is the covariance of a trial over nave, once, as in MNE."""
    result = _by_file(_average(40, baseline=False), tmp_path, "dspm", forward=str(head))
    cov = mne.make_ad_hoc_cov(result.prepared.evoked.info, {"eeg": 0.2e-6}, verbose="error")
    assert np.allclose(result.imager.noise_cov_["data"], cov["data"])
    assert any("0.2 µV at every electrode in a trial, 0.032" in t for t in result.content.decisions)
