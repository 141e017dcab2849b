"""Every solver in every source space and orientation: the class that MNE has, or a refusal."""

from __future__ import annotations

from functools import cache
from typing import Any

import mne
import numpy as np
import pytest
from mne.minimum_norm.inverse import (
    _assemble_kernel,
    make_inverse_operator,
    prepare_inverse_operator,
)

from majorant import SourceImager
from majorant.forward.leadfield import Leadfield
from majorant.forward.surfaces import vertex_normals
from majorant.head.model import source_model
from majorant.problem import MajorantError
from majorant.registry import SOLVERS, able

QUICK: dict[str, dict[str, Any]] = {
    "mean": {"members": ("scan", "sloreta"), "weights": None},
    "champagne": {"max_iter": 5},
}
CLASSES = {
    "surface": (mne.SourceEstimate, mne.VectorSourceEstimate),
    "volume": (mne.VolSourceEstimate, mne.VolVectorSourceEstimate),
    "discrete": (mne.VolSourceEstimate, mne.VolVectorSourceEstimate),
    "mixed": (mne.MixedSourceEstimate, mne.MixedVectorSourceEstimate),
}


@cache
def average() -> Any:
    """Nineteen electrodes, ten samples."""
    montage = mne.channels.make_standard_montage("biosemi32")
    names = montage.ch_names[:19]
    info = mne.create_info(names, 100.0, "eeg", verbose="error").set_montage(
        montage, on_missing="ignore", verbose="error"
    )
    data = 1e-5 * np.random.default_rng(0).standard_normal((19, 10))
    evoked = mne.EvokedArray(data, info, nave=5, verbose="error")
    return evoked.set_eeg_reference("average", projection=True, verbose="error")


def _part(kind: str, places: np.ndarray, ident: int = 0, tris: Any = None) -> dict[str, Any]:
    n = len(places)
    normals = places / np.linalg.norm(places, axis=1, keepdims=True)
    part: dict[str, Any] = {
        "id": ident, "type": kind, "np": n, "nuse": n, "rr": places, "nn": normals,
        "vertno": np.arange(n), "inuse": np.ones(n, int), "coord_frame": np.int32(4),
        "tris": np.empty((0, 3), int) if tris is None else tris,
        "ntri": 0 if tris is None else len(tris),
        "nuse_tri": 0 if tris is None else len(tris), "use_tris": tris,
        "nearest": None, "nearest_dist": None, "pinfo": None, "patch_inds": None, "dist": None,
        "dist_limit": None, "subject_his_id": "ada",
    }  # fmt: skip
    return part


@cache
def forward(kind: str) -> Any:
    """A sphere with two icosahedral hemispheres, a small volume, or both."""
    info = average().info
    sphere = mne.make_sphere_model((0, 0, 0.04), 0.095, verbose="error")
    ico = mne.surface._get_ico_surface(0)
    sides = [
        _part("surf", 0.03 * ico["rr"] + [x, 0, 0.04], ident, ico["tris"])
        for x, ident in ((-0.035, 101), (0.035, 102))
    ]
    for part in sides:
        part["nn"] = vertex_normals(part["rr"], part["tris"])
    made = mne.setup_volume_source_space(
        pos=35.0, sphere=(0, 0, 0.04, 0.07), mindist=0.0, exclude=0.0, verbose="error"
    )
    (volume,) = made
    # MNE calls a grid a volume only where it was laid into an image.
    volume.update(type="vol", subject_his_id="ada", shape=(5, 5, 5))
    dipoles = _part("discrete", 0.03 * ico["rr"] + np.array([0, 0, 0.04]))
    parts = {
        "surface": sides, "volume": [volume], "discrete": [dipoles], "mixed": [*sides, volume],
    }[kind]  # fmt: skip
    return mne.make_forward_solution(
        info, None, mne.SourceSpaces(parts), sphere, mindist=0.0, verbose="error"
    )


@pytest.mark.parametrize(
    "solver", [name for name, own in SOLVERS.items() if own.abilities.space == "any"]
)
@pytest.mark.parametrize("kind", CLASSES)
def test_every_solver_images_every_source_space(
    solver: str, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    evoked, path = average(), tmp_path_factory.mktemp("imager") / "imager.safetensors"
    for loose in (0.0, 0.3, 1.0):
        if (loose < 1 and kind == "volume") or (loose == 0 and kind == "mixed"):
            with pytest.raises(MajorantError, match="no normals to hold on to"):
                SourceImager(solver, loose=loose).fit(evoked.info, forward(kind))
            continue
        for pick_ori in (None, "vector") if loose else (None,):
            imager = SourceImager(solver, loose=loose, pick_ori=pick_ori, **QUICK.get(solver, {}))
            stc = imager.fit(evoked.info, forward(kind)).apply(evoked)
            assert type(stc) is CLASSES[kind][pick_ori == "vector"]
            assert stc.subject == "ada"
            assert np.isfinite(stc.data).all()
            assert imager.certificate_.holds()
    again = SourceImager.load(imager.save(path)).apply(evoked)
    assert type(again) is type(stc)
    assert np.abs(again.data - stc.data).max() <= 1e-6 * np.abs(stc.data).max()


@pytest.mark.parametrize(
    "solver", [name for name, own in SOLVERS.items() if own.abilities.space == "any"]
)
def test_trials_are_imaged_together_as_they_are_alone(solver: str) -> None:
    evoked, rng = average(), np.random.default_rng(4)
    data = 1e-5 * rng.standard_normal((3, 19, 10)) * np.array([1.0, 3.0, 0.2])[:, None, None]
    epochs = mne.EpochsArray(data, evoked.info, verbose="error")
    # LCMV adapts to the data at hand, so it is given theirs.
    adaptive = SOLVERS[solver].abilities.adaptive
    cov = mne.compute_covariance(epochs, verbose="error") if adaptive else None
    imager = SourceImager(solver, loose=1.0, **QUICK.get(solver, {}))
    imager.fit(evoked.info, forward("mixed"), data_cov=cov)
    for trial, together in zip(data, imager.apply(epochs), strict=True):
        alone = imager.apply(mne.EvokedArray(trial, evoked.info, nave=1, verbose="error"))
        # The unfolded network runs in single precision.
        tolerance = 2e-3 if solver in ("auto", "unfolded-sbl") else 1e-6
        assert np.abs(together.data - alone.data).max() <= tolerance * np.abs(alone.data).max()


def test_what_a_forward_lacks_is_left_out_and_said() -> None:
    evoked = average()
    names = [name for name in evoked.ch_names if name not in ("Fp1", "AF3")]
    fewer = mne.pick_channels_forward(forward("surface"), names, verbose="error")
    imager = SourceImager("mne").fit(evoked.info, fewer)
    said = "Left out, for the forward or the covariance lacks them: Fp1, AF3."
    assert said in imager.notes_
    assert imager.info_["ch_names"] == names
    assert imager.rank_ == len(names) - 1
    assert np.isfinite(imager.apply(evoked).data).all()


@pytest.mark.parametrize("kind", ["volume", "discrete", "mixed"])
def test_what_needs_a_cortex_refuses_and_names_the_others(kind: str) -> None:
    others = able(lambda s: s.space == "any")
    for solver, own in SOLVERS.items():
        if own.abilities.space == "regions":
            with pytest.raises(MajorantError, match=f"a {kind} source space.*{others}"):
                SourceImager(solver).fit(average().info, forward(kind))
        elif kind != "discrete":
            with pytest.raises(MajorantError, match="needs a surface with normals"):
                SourceImager(solver, pick_ori="normal").fit(average().info, forward(kind))


def _mne_kernel(method: str, loose: float) -> np.ndarray:
    """Our name for what MNE does: its kernel, noise normalisation included."""
    evoked = average()
    cov = mne.make_ad_hoc_cov(evoked.info, verbose="error")
    inverse = make_inverse_operator(
        evoked.info, forward("surface"), cov, loose=loose, depth=None, verbose="error"
    )
    ready = prepare_inverse_operator(inverse, 1, 1 / 9, method, verbose="error")
    kernel, norm, _, _ = _assemble_kernel(ready, None, method, None)
    return kernel if norm is None else kernel * norm


@pytest.mark.parametrize("method", ["MNE", "dSPM", "sLORETA", "eLORETA"])
def test_the_sources_found_without_error_are_those_that_mne_finds(method: str) -> None:
    evoked = average()
    cov = mne.make_ad_hoc_cov(evoked.info, verbose="error")
    imager = SourceImager(method.lower(), loose=0, depth=None)
    imager.fit(evoked.info, forward("surface"), cov)
    gain = imager.leadfield_.gain.numpy()
    gain = gain - gain.mean(0)
    # Dipoles of a microampere-metre: amplitudes beyond that are taken for another unit.
    simulated = mne.EvokedArray(1e-6 * gain, evoked.info, nave=1, verbose="error")
    ours = np.abs(imager.apply(simulated).data).argmax(0)
    theirs = np.abs(_mne_kernel(method, 0.0) @ gain).argmax(0)
    assert np.array_equal(ours, theirs)
    if method in ("sLORETA", "eLORETA"):
        assert np.array_equal(ours, np.arange(gain.shape[1]))
    else:
        assert (ours != np.arange(gain.shape[1])).any()


def test_eeg_and_meg_are_whitened_together() -> None:
    """Magnetometers in other units join the electrodes; units of either change nothing."""
    evoked, n = average(), 6
    rng = np.random.default_rng(3)
    info = mne.create_info(
        [*evoked.ch_names, *(f"MEG{k}" for k in range(n))], 100.0, ["eeg"] * 19 + ["mag"] * n,
        verbose="error",
    )  # fmt: skip
    base = mne.convert_forward_solution(
        forward("surface"), surf_ori=True, force_fixed=True, verbose="error"
    )
    gain = np.concatenate([base["sol"]["data"], 1e-6 * rng.standard_normal((n, base["nsource"]))])
    joint = base.copy()
    joint["sol"]["data"], joint["sol"]["nrow"], joint["nchan"] = gain, 19 + n, 19 + n
    joint["sol"]["row_names"] = list(info["ch_names"])
    joint["info"] = mne.create_info(info["ch_names"], 100.0, info.get_channel_types())
    joint["_orig_sol"] = gain
    joint["_orig_source_ori"] = joint["source_ori"]
    noise = np.diag([*[1e-12] * 19, *[1e-26] * n])
    cov = mne.Covariance(noise, info["ch_names"], [], [], 100)
    imager = SourceImager("mne", loose=0, depth=None).fit(info, joint, cov)
    assert imager.rank_ == 18 + n
    assert "Average reference over 19 electrodes." in imager.notes_
    only = SourceImager("mne", loose=0, depth=None).fit(average().info, base)
    assert only.rank_ == 18
    y = np.concatenate([evoked.data, 1e-13 * rng.standard_normal((n, 10))])
    whole = imager.apply(mne.EvokedArray(y, info, verbose="error")).data
    weighted = imager.whitener_ @ gain
    assert np.linalg.norm(weighted[:, :3]) > 0
    assert np.isfinite(whole).all()
    with pytest.raises(MajorantError, match=r"add one with inst\.set_eeg_reference"):
        SourceImager("mne", reference=None).fit(info, joint, cov)


def test_a_model_is_the_same_from_one_source_space_or_its_parts() -> None:
    evoked = average()
    cov = mne.make_ad_hoc_cov(evoked.info, verbose="error")
    mixed, _ = source_model(forward("mixed"), evoked.info, cov, loose=0.3)
    surface, _ = source_model(forward("surface"), evoked.info, cov, loose=0.3)
    n = surface.leadfield.n_columns
    assert np.array_equal(mixed.prior[:n], surface.prior)
    assert (mixed.prior[n:] == 1).all()
    assert isinstance(mixed.leadfield, Leadfield)
    as_dict, _ = source_model(
        forward("mixed"), evoked.info, cov, loose={"surface": 0.3, "volume": 1.0}
    )
    assert np.array_equal(as_dict.prior, mixed.prior)
