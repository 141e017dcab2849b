"""One import changes: the calls of `mne.minimum_norm`, with MNE's numbers for MNE's methods."""

from __future__ import annotations

from typing import Any

import mne
import numpy as np
import pytest
from mne import minimum_norm as theirs

from majorant import SourceImager
from majorant import inverse as ours
from majorant.head.template import template_forward
from majorant.problem import MajorantError

METHODS = ("MNE", "dSPM", "sLORETA", "eLORETA")


@pytest.fixture(scope="module")
def evoked(averages: list[Any]) -> Any:
    made = averages[0].copy().pick("eeg", verbose="error")
    made.set_eeg_reference("average", projection=True, verbose="error")
    return made.apply_proj(verbose="error")


@pytest.fixture(scope="module")
def trials(epochs: Any) -> Any:
    few = epochs.copy()[:4].pick("eeg", verbose="error")
    few.set_eeg_reference("average", projection=True, verbose="error")
    return few.apply_proj(verbose="error")


@pytest.fixture(scope="module")
def noise_cov(evoked: Any) -> Any:
    return mne.Covariance(1e-11 * np.eye(32), evoked.ch_names, [], [], 1000)


@pytest.fixture(scope="module")
def forward(evoked: Any) -> Any:
    """The template for the 32 electrodes, 1,284 vertices."""
    return template_forward(evoked.info, "ico3").forward


@pytest.fixture(scope="module")
def pair(evoked: Any, forward: Any, noise_cov: Any) -> tuple[Any, Any]:
    """Ours and theirs, made by the same words."""
    given = (evoked.info, forward, noise_cov)
    return (
        ours.make_inverse_operator(*given, loose=0.2, solver="sloreta", verbose="error"),
        theirs.make_inverse_operator(*given, loose=0.2, verbose="error"),
    )


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    assert found.subject == expected.subject
    assert found.tstep == pytest.approx(expected.tstep)
    assert found.tmin == pytest.approx(expected.tmin)
    for one, other in zip(found.vertices, expected.vertices, strict=True):
        assert np.array_equal(one, other)
    assert found.data.shape == expected.data.shape
    assert np.abs(found.data - expected.data).max() <= 1e-6 * np.abs(expected.data).max()


@pytest.mark.parametrize(
    ("method", "pick_ori"),
    [(m, p) for m in METHODS for p in (None, "normal", "vector") if m != "eLORETA" or p is None],
)
def test_every_method_and_orientation_equals_theirs(
    pair: Any, evoked: Any, method: str, pick_ori: str | None
) -> None:
    found = ours.apply_inverse(evoked, pair[0], 1 / 4, method, pick_ori)
    assert_same(
        found, theirs.apply_inverse(evoked, pair[1], 1 / 4, method, pick_ori, verbose="error")
    )


@pytest.mark.parametrize("choice", [{"fixed": True}, {"loose": 1.0}, {"depth": None}])
def test_orientation_and_depth_mean_what_they_mean_there(
    evoked: Any, forward: Any, noise_cov: Any, choice: dict[str, Any]
) -> None:
    given = (evoked.info, forward, noise_cov)
    found = ours.make_inverse_operator(*given, **choice)
    expected = theirs.make_inverse_operator(*given, **choice, verbose="error")
    one = ours.apply_inverse(evoked, found, method="dSPM")
    other = theirs.apply_inverse(evoked, expected, method="dSPM", verbose="error")
    assert_same(one, other)
    # Lengths have no sign; what lies along the normal has.
    assert bool((one.data < 0).any()) == ("fixed" in choice)


def test_trials_equal_theirs_in_number_and_value(pair: Any, trials: Any) -> None:
    for more in ({}, {"nave": 4}, {"pick_ori": "normal"}):
        found = ours.apply_inverse_epochs(trials, pair[0], 1.0, "dSPM", **more)
        expected = theirs.apply_inverse_epochs(
            trials, pair[1], 1.0, "dSPM", **more, verbose="error"
        )
        assert len(found) == len(expected) == len(trials)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    lazily = ours.apply_inverse_epochs(trials, pair[0], 1.0, return_generator=True)
    assert next(lazily).shape == (1284, 71)


def test_a_window_of_continuous_data_equals_theirs(pair: Any, raw: Any) -> None:
    eeg = raw.copy().pick("eeg").set_eeg_reference("average", projection=True, verbose="error")
    eeg.apply_proj(verbose="error")
    for more in ({}, {"nave": 9}):
        window = {"start": 500, "stop": 520, **more}
        found = ours.apply_inverse_raw(eeg, pair[0], 1 / 9, "sLORETA", **window)
        expected = theirs.apply_inverse_raw(
            eeg, pair[1], 1 / 9, "sLORETA", **window, verbose="error"
        )
        assert_same(found, expected)


def test_the_mean_of_trials_is_the_estimate_of_their_mean(pair: Any, trials: Any) -> None:
    each = ours.apply_inverse_epochs(trials, pair[0], 1 / 9, "MNE", pick_ori="normal", nave=4)
    average = trials.average()
    whole = ours.apply_inverse(average, pair[0], 1 / 9, "MNE", "normal")
    mean = np.mean([one.data for one in each], axis=0)
    assert np.allclose(mean, whole.data, atol=1e-6 * np.abs(mean).max())


def test_a_label_restricts_the_estimate(pair: Any, evoked: Any) -> None:
    left = mne.Label(np.arange(0, 600, 3), hemi="lh", subject="fsaverage", name="some-lh")
    right = mne.Label(np.arange(5), hemi="rh", subject="fsaverage", name="few-rh")
    for label in (left, right, left + right):
        assert_same(
            ours.apply_inverse(evoked, pair[0], method="dSPM", label=label),
            theirs.apply_inverse(evoked, pair[1], label=label, verbose="error"),
        )
    none = mne.Label(np.array([9000]), hemi="lh", subject="fsaverage", name="none-lh")
    with pytest.raises(MajorantError, match="no vertex in the label 'none-lh'"):
        ours.apply_inverse(evoked, pair[0], label=none)
    with pytest.raises(MajorantError, match=r"expected an mne\.Label"):
        ours.apply_inverse(evoked, pair[0], label="V1")


def test_any_solver_is_called_in_the_same_way(pair: Any, evoked: Any, forward: Any) -> None:
    short = evoked.copy().crop(0.0, 0.05)
    own = ours.apply_inverse(short, pair[0])
    assert_same(own, ours.apply_inverse(short, pair[0], method="sLORETA"))
    scan = ours.apply_inverse(short, pair[0], method="scan")
    imager = SourceImager("scan", loose=0.2).fit(evoked.info, forward, pair[0]["noise_cov"])
    assert_same(scan, imager.apply(short))


def test_options_of_a_solver_are_given_here_or_there(
    evoked: Any, sphere_forward: Any, noise_cov: Any
) -> None:
    given = (evoked.info, sphere_forward, noise_cov)
    made = ours.make_inverse_operator(*given, solver="eloreta", max_iter=2)
    plain = ours.make_inverse_operator(*given, solver="mne")
    few = ours.apply_inverse(evoked, made)
    there = {"method": "eLORETA", "method_params": {"max_iter": 2}}
    assert_same(few, ours.apply_inverse(evoked, plain, **there))
    more = ours.apply_inverse(evoked, plain, method="eLORETA")
    assert np.abs(few.data - more.data).max() > 1e-4 * more.data.max()
    with pytest.raises(MajorantError, match="not of a cortex"):
        ours.apply_inverse(evoked, made, label=mne.Label([0], hemi="lh"))


def test_the_operator_is_read_like_theirs(pair: Any) -> None:
    for key in ("nsource", "nave"):
        assert pair[0][key] == pair[1][key]
    assert pair[0]["src"][0]["nuse"] == 642
    assert pair[0]["info"]["ch_names"] == pair[1]["info"]["ch_names"]
    assert set(pair[0]) == {"src", "info", "noise_cov", "nsource", "nave"}
    assert "sources" in repr(pair[0])


def test_without_a_forward_it_is_the_template(evoked: Any) -> None:
    made = ours.make_inverse_operator(evoked.info, solver="sloreta", space="ico3")
    stc = ours.apply_inverse(evoked, made, "gcv")
    assert stc.subject == "fsaverage"
    assert stc.shape == (1284, len(evoked.times))


def test_what_makes_no_sense_is_said(pair: Any, evoked: Any, trials: Any) -> None:
    cases: list[tuple[str, Any]] = [
        ("make it with majorant.inverse", lambda: ours.apply_inverse(evoked, pair[1])),
        ("no solver 'dSPN'.*dspm", lambda: ours.apply_inverse(evoked, pair[0], method="dSPN")),
        (r"lambda2 is 0; expected 1 / snr", lambda: ours.apply_inverse(evoked, pair[0], 0)),
        ("pick_ori is 'left'", lambda: ours.apply_inverse(evoked, pair[0], pick_ori="left")),
        ("nave is 0", lambda: ours.apply_inverse_epochs(trials, pair[0], 1.0, nave=0)),
        (
            "contradict each other",
            lambda: ours.make_inverse_operator(evoked.info, fixed=True, loose=0.2),
        ),
        (
            "belongs to apply_inverse",
            lambda: ours.make_inverse_operator(evoked.info, pick_ori="normal"),
        ),
    ]
    for sentence, call in cases:
        with pytest.raises(MajorantError, match=sentence):
            call()
