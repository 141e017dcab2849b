"""`SourceImager` speaks MNE's language, and says the same as MNE on the same forward."""

from __future__ import annotations

from typing import Any

import mne
import numpy as np
import pytest
from mne.minimum_norm import apply_inverse, make_inverse_operator

from majorant import SourceImager
from majorant.energies.basis import _made as patches_made
from majorant.head.model import leadfield_from_forward
from majorant.head.template import template_forward
from majorant.problem import MajorantError

SNR = 3.0
METHODS = {"mne": "MNE", "dspm": "dSPM", "sloreta": "sLORETA", "eloreta": "eLORETA"}


@pytest.fixture(scope="module")
def evoked(averages: list[Any]) -> Any:
    """Average of 14 trials, average reference as a projector."""
    made = averages[0].copy().pick("eeg", verbose="error")
    made.set_eeg_reference("average", projection=True, verbose="error")
    return made.apply_proj(verbose="error")


@pytest.fixture(scope="module")
def noise_cov(evoked: Any) -> Any:
    rng = np.random.default_rng(5)
    mixing = 5e-6 * (np.eye(32) + 0.2 * rng.standard_normal((32, 32)))
    return mne.Covariance(mixing @ mixing.T, evoked.ch_names, [], [], 1000)


@pytest.fixture(scope="module")
def template(evoked: Any) -> Any:
    """The template for the 32 electrodes, 1,284 vertices."""
    return template_forward(evoked.info, "ico3")


def of_mne(
    evoked: Any, forward: Any, noise_cov: Any, method: str, loose: float, depth: Any, **more: Any
) -> np.ndarray:
    inverse = make_inverse_operator(
        evoked.info, forward, noise_cov, loose=loose, depth=depth, verbose="error"
    )
    return apply_inverse(evoked, inverse, 1 / SNR**2, method, verbose="error", **more).data


def assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loose", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("depth", [None, 0.8])
def test_the_imager_equals_mne_on_the_same_forward_and_covariance(
    evoked: Any, noise_cov: Any, sphere_forward: Any, method: str, loose: float, depth: Any
) -> None:
    forward = mne.convert_forward_solution(sphere_forward, surf_ori=True, verbose="error")
    imager = SourceImager(method, snr=SNR, loose=loose, depth=depth)
    found = imager.fit(evoked.info, sphere_forward, noise_cov).apply(evoked).data
    assert_equal(found, of_mne(evoked, forward, noise_cov, METHODS[method], loose, depth))


@pytest.mark.parametrize("loose", [0.2, 1.0])
@pytest.mark.parametrize("pick_ori", ["normal", "vector", None])
def test_it_equals_mne_on_the_template_too(
    evoked: Any, noise_cov: Any, template: Any, loose: float, pick_ori: str | None
) -> None:
    imager = SourceImager("sloreta", loose=loose, depth=0.8, pick_ori=pick_ori)
    stc = imager.fit(evoked.info, template.forward, noise_cov).apply(evoked)
    expected = of_mne(evoked, template.forward, noise_cov, "sLORETA", loose, 0.8, pick_ori=pick_ori)
    assert_equal(stc.data, expected)
    kind = mne.VectorSourceEstimate if pick_ori == "vector" else mne.SourceEstimate
    assert type(stc) is kind
    assert stc.subject == "fsaverage"


def test_depth_takes_the_arguments_of_mne(evoked: Any, noise_cov: Any, sphere_forward: Any) -> None:
    depth = {"exp": 1.5, "limit": None, "limit_depth_chs": "whiten", "combine_xyz": "fro"}
    imager = SourceImager("mne", loose=1, depth=depth).fit(evoked.info, sphere_forward, noise_cov)
    expected = of_mne(evoked, sphere_forward, noise_cov, "MNE", 1.0, depth)
    assert_equal(imager.apply(evoked).data, expected)
    with pytest.raises(MajorantError, match="depth has no setting exponent"):
        SourceImager("mne", depth={"exponent": 1}).fit(evoked.info, sphere_forward, noise_cov)


def test_the_template_is_the_default_and_can_be_looked_at(evoked: Any, template: Any) -> None:
    imager = SourceImager("sloreta", space="ico3").fit(evoked.info)
    stc = imager.apply(evoked)
    assert [len(v) for v in stc.vertices] == [642, 642]
    assert isinstance(imager.forward_, mne.Forward)
    assert imager.leadfield_.n_locations == 1284
    assert imager.rank_ == 31
    assert imager.whitener_.shape == (31, 32)
    assert imager.alignment_ is not None
    assert imager.info_["ch_names"] == evoked.ch_names
    assert imager.solution_.certificate.holds()
    same = SourceImager("sloreta", space="ico3").fit(evoked.info, template.forward)
    assert_equal(same.apply(evoked).data, stc.data)


def test_regions_are_written_onto_the_vertices_of_fsaverage5(evoked: Any) -> None:
    imager = SourceImager("mne", space="regions").fit(evoked.info)
    stc = imager.apply(evoked)
    values = imager.solution_.estimate[0].numpy()
    assert imager.leadfield_.n_locations == len(values) == 994
    assert all(v.max() < 10242 for v in stc.vertices)
    parcels = imager.leadfield_.parcels
    assert parcels is not None
    for side, (data, vertices) in enumerate(
        zip((stc.lh_data, stc.rh_data), stc.vertices, strict=True)
    ):
        assert_equal(data, values[parcels[side, vertices].numpy()])
    with pytest.raises(MajorantError, match="fixed orientation"):
        SourceImager("mne", space="regions", loose=1).fit(evoked.info)


def test_the_order_of_channels_does_not_matter(
    evoked: Any, noise_cov: Any, sphere_forward: Any
) -> None:
    expected = SourceImager("sloreta").fit(evoked.info, sphere_forward, noise_cov).apply(evoked)
    mixed = evoked.copy().reorder_channels(evoked.ch_names[::-1])
    found = SourceImager("sloreta").fit(mixed.info, sphere_forward, noise_cov).apply(mixed)
    assert_equal(found.data, expected.data)
    fitted = SourceImager("sloreta").fit(evoked.info, sphere_forward, noise_cov)
    assert_equal(fitted.apply(mixed).data, expected.data)


def test_bad_channels_are_left_out(evoked: Any, noise_cov: Any, sphere_forward: Any) -> None:
    bad = evoked.copy()
    bad.info["bads"] = ["Oz", "Cz"]
    imager = SourceImager("sloreta").fit(bad.info, sphere_forward, noise_cov)
    assert len(imager.info_["ch_names"]) == 30
    found = imager.apply(bad).data
    changed = bad.copy()
    changed.data[changed.ch_names.index("Oz")] = 1.0
    assert np.array_equal(imager.apply(changed).data, found)


def test_an_info_without_reference_gets_one_and_is_not_changed(
    averages: list[Any], evoked: Any, sphere_forward: Any
) -> None:
    plain = averages[0].copy().pick("eeg", verbose="error")
    assert not plain.info["projs"]
    found = SourceImager("mne").fit(plain.info, sphere_forward).apply(plain)
    expected = SourceImager("mne").fit(evoked.info, sphere_forward).apply(evoked)
    assert_equal(found.data, expected.data)
    assert not plain.info["projs"]


def test_estimates_scale_with_the_data(evoked: Any, noise_cov: Any, sphere_forward: Any) -> None:
    imager = SourceImager("mne").fit(evoked.info, sphere_forward, noise_cov)
    twice = evoked.copy()
    twice.data *= -2
    assert_equal(imager.apply(twice).data, 2 * imager.apply(evoked).data)


@pytest.mark.parametrize("solver", ["unfolded-sbl", "mm-net"])
def test_what_is_prepared_for_one_call_is_found_by_the_next(evoked: Any, solver: str) -> None:
    """Solvers know what they have prepared by the identity of operator and prior."""
    imager = SourceImager(solver).fit(evoked.info)
    first, again = imager.problem(evoked), imager.problem(evoked)
    assert again.operator is first.operator
    assert again.source_prior is first.source_prior
    imager.apply(evoked)
    before = patches_made.cache_info()
    imager.apply(evoked)
    after = patches_made.cache_info()
    assert after.misses == before.misses
    assert (after.hits > before.hits) == (solver == "unfolded-sbl")


def test_statistics_grow_with_the_root_of_the_trials(
    evoked: Any, noise_cov: Any, sphere_forward: Any
) -> None:
    imager = SourceImager("dspm").fit(evoked.info, sphere_forward, noise_cov)
    more = evoked.copy()
    more.nave = 4 * evoked.nave
    assert_equal(imager.apply(more).data, 2 * imager.apply(evoked).data)


def test_parameters_and_representation() -> None:
    imager = SourceImager("eloreta", loose=1, max_iter=50)
    assert repr(imager) == "SourceImager('eloreta', loose=1, max_iter=50)"
    again = SourceImager(**imager.get_params())
    assert repr(again) == repr(imager)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SourceImager("slorata"), "no solver 'slorata'"),
        (lambda: SourceImager("mne", tolerance=1), "mne has no option tolerance; it has snr"),
        (lambda: SourceImager("mne", pick_ori="all"), "pick_ori is 'all'"),
        (lambda: SourceImager("mne", head="sphere"), "no head 'sphere'"),
        (lambda: SourceImager("mne", snr=0), "snr is 0"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(make: Any, says: str) -> None:
    with pytest.raises(MajorantError, match=says):
        make()


def test_what_is_not_of_mnes_kinds_is_said_with_how_to_come_by_it(evoked: Any) -> None:
    imager, info = SourceImager("sloreta"), evoked.info
    with pytest.raises(MajorantError, match=r"info is a str; .*evoked"):
        imager.fit("x-ave.fif")
    with pytest.raises(MajorantError, match=r"forward is a str; .*mne\.read_forward_solution"):
        imager.fit(info, "sub-fwd.fif")
    with pytest.raises(MajorantError, match=r"noise_cov is a str; .*mne\.read_cov"):
        imager.fit(info, noise_cov="x-cov.fif")


def test_what_does_not_fit_together_is_said(
    evoked: Any, noise_cov: Any, sphere_forward: Any
) -> None:
    with pytest.raises(MajorantError, match="call fit"):
        SourceImager("mne").apply(evoked)
    fixed = mne.convert_forward_solution(
        sphere_forward, surf_ori=True, force_fixed=True, verbose="error"
    )
    frozen = mne.Forward(fixed)
    frozen["_orig_source_ori"] = frozen["source_ori"]
    with pytest.raises(MajorantError, match="loose must be 0"):
        SourceImager("mne", loose=0.2).fit(evoked.info, frozen, noise_cov)
    with pytest.raises(MajorantError, match="number from 0"):
        SourceImager("mne", loose=2).fit(evoked.info, sphere_forward, noise_cov)
    with pytest.raises(MajorantError, match="needs loose or free"):
        SourceImager("mne", loose=0, pick_ori="vector").fit(evoked.info, sphere_forward, noise_cov)
    other = evoked.copy()
    other.rename_channels({name: f"{name}x" for name in other.ch_names})
    with pytest.raises(MajorantError, match="have no channel in common"):
        SourceImager("mne").fit(other.info, sphere_forward, noise_cov)
    fitted = SourceImager("mne").fit(evoked.info, sphere_forward, noise_cov)
    with pytest.raises(MajorantError, match="the data lack"):
        fitted.apply(other)
    magnetic = mne.create_info(["M1", "M2"], 100.0, "mag")
    with pytest.raises(MajorantError, match="no good EEG channels"):
        SourceImager("mne").fit(magnetic)


@pytest.mark.parametrize("loose", [0.0, 1.0])
def test_a_forward_is_the_lead_field_that_it_holds(sphere_forward: Any, loose: float) -> None:
    forward = mne.convert_forward_solution(
        sphere_forward, surf_ori=True, force_fixed=loose == 0, verbose="error"
    )
    lead = leadfield_from_forward(forward)
    assert lead.n_orient == (1 if loose == 0 else 3)
    assert np.array_equal(lead.gain.numpy(), forward["sol"]["data"])
    assert lead.ch_names == tuple(forward["sol"]["row_names"])
    trans = mne.transforms.invert_transform(forward["mri_head_t"])
    places = mne.transforms.apply_trans(trans, forward["source_rr"])
    assert lead.positions.numpy() == pytest.approx(places)


def test_a_forward_of_electrodes_that_were_placed_anew_is_taken(evoked: Any) -> None:
    listed = mne.channels.make_standard_montage("biosemi32").get_positions()["ch_pos"]
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = {name: turn @ np.asarray(place) for name, place in listed.items()}
    montage = mne.channels.make_dig_montage(turned, coord_frame="head")
    info = mne.create_info(list(turned), 250.0, "eeg", verbose="error").set_montage(montage)
    made = SourceImager("mne", space="ico3").fit(info)
    moved = [
        a["loc"][:3] - b["loc"][:3] for a, b in zip(made.info_["chs"], info["chs"], strict=True)
    ]
    assert np.median(np.linalg.norm(moved, axis=1)) > 0.03
    again = SourceImager("mne").fit(info, made.forward_)
    assert any("as they are placed here" in note for note in again.notes_)
    assert_equal(again.leadfield_.gain.numpy(), made.leadfield_.gain.numpy())
    # Another cap is refused all the same.
    other = {name: place[[2, 0, 1]] for name, place in turned.items()}
    montage = mne.channels.make_dig_montage(other, coord_frame="head")
    names = {name: f"X{k}" for k, name in enumerate(turned)}
    strange = info.copy().set_montage(montage).rename_channels(names, verbose="error")
    forward = made.forward_.copy()
    mne.rename_channels(forward["info"], names, verbose="error")
    forward["sol"]["row_names"] = list(names.values())
    with pytest.raises(MajorantError, match="another subject or cap"):
        SourceImager("mne").fit(strange, forward)


def test_the_template_as_an_mne_forward_keeps_its_lead_field(template: Any) -> None:
    lead = leadfield_from_forward(template.forward)
    assert np.array_equal(lead.gain.numpy(), template.leadfield.gain.numpy())
    assert lead.positions.numpy() == pytest.approx(template.leadfield.positions.numpy())
    assert np.array_equal(lead.vertices, template.leadfield.vertices)
    assert np.array_equal(lead.hemisphere, template.leadfield.hemisphere)
    assert lead.subject == "fsaverage"
