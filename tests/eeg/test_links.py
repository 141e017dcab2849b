"""Connectivity: planted links come out, what leaks without lag does not, and limits are said."""

from __future__ import annotations

import builtins
import importlib
from dataclasses import replace
from typing import Any

import mne
import numpy as np
import pytest

from majorant import SourceImager
from majorant.account import Account
from majorant.imager.courses import RegionCourses
from majorant.imaging.result import ImageSettings
from majorant.problem import MajorantError
from majorant.spectra.connectivity import METHODS, RegionLinks, connectivity, region_links
from majorant.spectra.matrix import links_section

SFREQ, BAND, TRIALS = 100.0, (8.0, 12.0), 60
NAMES = ("left a", "left b", "right a", "right b")


def narrow(rng: np.random.Generator, n_trials: int, n_times: int) -> np.ndarray:
    """Noise around 10 Hz, unit power, shape (n_trials, n_times), analytic."""
    f = np.fft.fftfreq(n_times, 1 / SFREQ)
    spectrum = rng.standard_normal((2, n_trials, n_times))
    shaped = (spectrum[0] + 1j * spectrum[1]) * np.exp(-0.5 * ((f - 10) / 1.2) ** 2) * (f > 0)
    found = np.fft.ifft(shaped)
    return found / np.sqrt((np.abs(found) ** 2).mean() / 2)


def courses(data: np.ndarray, names: tuple[str, ...] = NAMES) -> RegionCourses:
    return RegionCourses(
        names, data, np.arange(data.shape[-1]) / SFREQ, SFREQ, "Am", "mean_flip",
        (9,) * len(names), "gyri", True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def planted() -> RegionCourses:
    """Left a leads right a by 25 ms; right b is half of what left b is, at once."""
    rng = np.random.default_rng(0)
    a, b, c, d = (narrow(rng, TRIALS, 200) for _ in range(4))
    behind = 0.8 * a * np.exp(-0.5j * np.pi) + 0.6 * c
    parts = np.stack([a, b, behind, 0.9 * b + 0.5 * d], axis=1).real
    return courses(parts + 0.2 * rng.standard_normal(parts.shape))


@pytest.mark.parametrize("method", ["imcoh", "wpli", "dwpli"])
def test_a_lagged_link_comes_out_and_leakage_does_not(planted: RegionCourses, method: str) -> None:
    found = connectivity(planted, method, BAND)
    assert found.pairs()[0] == (0, 2)
    assert found.matrix[0, 2] > 1.5 * found.chance
    assert found.matrix[1, 3] < found.chance
    assert np.array_equal(found.matrix, found.matrix.T)
    assert (found.matrix.diagonal() == 0).all()
    if method != "dwpli":
        assert ((found.matrix >= 0) & (found.matrix <= 1)).all()


def test_coherence_would_have_taken_the_leakage_for_a_link(planted: RegionCourses) -> None:
    import mne_connectivity

    same = {"mode": "fourier", "sfreq": SFREQ, "fmin": 8, "fmax": 12, "faverage": True}
    found = mne_connectivity.spectral_connectivity_epochs(
        planted.data, method="coh", verbose="error", **same
    ).get_data("dense")[..., 0]
    assert found[3, 1] > 0.8
    assert found[3, 1] > found[2, 0] > found[1, 0]


def test_envelopes_that_rise_together_are_found_and_mixtures_are_not() -> None:
    rng = np.random.default_rng(1)
    a, b, c, d = (narrow(rng, 8, 1000) for _ in range(4))
    slow = np.exp(0.8 * np.stack([np.convolve(x, np.hanning(120), "same") for x in
                  rng.standard_normal((8, 1000))]) / np.sqrt(45))  # fmt: skip
    parts = np.stack([a * slow, b, c * slow, 0.8 * b + 0.6 * d], axis=1).real
    found = connectivity(courses(parts), "envelope", BAND)
    assert found.pairs()[0] == (0, 2)
    assert found.matrix[0, 2] > found.chance > found.matrix[1, 3]


def test_values_are_those_of_the_package(planted: RegionCourses) -> None:
    import mne_connectivity

    found = connectivity(planted, "wpli", BAND).matrix
    expected = mne_connectivity.spectral_connectivity_epochs(
        planted.data, method="wpli", mode="fourier", sfreq=SFREQ, fmin=8, fmax=12, faverage=True,
        verbose="error",
    ).get_data("dense")[..., 0]  # fmt: skip
    assert np.allclose(np.tril(found), expected)


@pytest.fixture(scope="module")
def trials() -> Any:
    montage = mne.channels.make_standard_montage("biosemi32")
    info = mne.create_info(montage.ch_names, SFREQ, "eeg", verbose="error")
    data = 5e-6 * np.random.default_rng(3).standard_normal((12, 32, 100))
    made = mne.EpochsArray(data, info, verbose="error")
    made.set_montage(montage)
    made.set_eeg_reference("average", projection=True, verbose="error")
    return made.apply_proj(verbose="error")


@pytest.fixture(scope="module")
def imager(trials: Any) -> SourceImager:
    made = SourceImager("eloreta", space="ico3", pick_ori="normal")
    return made.fit(trials.info)


def test_filters_of_regions_give_the_courses_of_imaged_trials(
    trials: Any, imager: SourceImager
) -> None:
    some = ("left insula", "right insula", "left postcentral gyrus", "left precentral gyrus")
    settings = ImageSettings("eloreta", roi=some)
    account = Account()
    found = region_links(imager, settings, trials.get_data(), "imcoh", BAND, account)
    whole = imager.extract(imager.apply(trials, return_generator=True), "gyri", regions=some)
    assert whole.data.shape == (12, 4, 100)
    expected = connectivity(whole, "imcoh", BAND)
    assert found.names == expected.names
    assert np.allclose(found.matrix, expected.matrix, atol=1e-6)
    assert found.chance == pytest.approx(expected.chance, abs=1e-6)
    assert found.leakage is not None
    assert np.allclose(found.leakage.diagonal(), 1)
    near = found.leakage[found.names.index(some[2]), found.names.index(some[3])]
    far = found.leakage[found.names.index(some[0]), found.names.index(some[1])]
    assert 1 > near > far >= 0
    assert any("12 trials are few" in said for said in account.decisions)


def test_regions_that_leakage_makes_one_are_named() -> None:
    leakage = np.eye(3)
    leakage[0, 1] = leakage[1, 0] = 0.95
    matrix = np.array([[0, 0.1, 0.6], [0.1, 0, 0.55], [0.6, 0.55, 0]])
    links = RegionLinks("imcoh", BAND, NAMES[:3], matrix, 0.3, 60, leakage, "<b>gyri</b>")
    assert links.alike() == [("left a", "left b")]
    assert any("left a from the left b" in said for said in links.sentences())
    apart = replace(links, leakage=np.eye(3)).sentences()
    assert not any("No measure can tell" in said or "trials are few" in said for said in apart)
    page = str(links_section(links).body)
    assert page.count("<rect") == 6
    assert "right a, left a: 0.60" in page
    assert "<b>gyri" not in page
    heads, rows = links.rows()
    assert heads[2] == "imcoh"
    assert [row[3] for row in rows] == [1, 1, 0]
    assert links.summary()["matrix"] == matrix.tolist()


@pytest.mark.parametrize(
    ("change", "method", "said"),
    [
        ({}, "wplii", "did you mean 'wpli'"),
        ({"signed": False}, "wpli", "lost the sign"),
        ({"data": np.zeros((4, 200))}, "wpli", "of one estimate"),
        ({"data": np.ones((9, 4, 200))}, "wpli", "9 trials says nothing"),
        ({"data": np.ones((20, 1, 200)), "names": ("left a",)}, "wpli", "two or more"),
        ({"data": np.ones((20, 4, 30))}, "imcoh", "2.4 cycles of 8 Hz"),
        ({"data": np.ones((20, 4, 200))}, "envelope", "too short for envelopes"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    planted: RegionCourses, change: dict[str, Any], method: str, said: str
) -> None:
    with pytest.raises(MajorantError, match=said):
        connectivity(replace(planted, **change), method, BAND)


def test_without_the_package_it_says_how_to_come_by_it(
    planted: RegionCourses, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str, *rest: Any) -> Any:
        if name == "mne_connectivity":
            raise ImportError(name)
        return builtins.__import__(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    for method in METHODS:
        with pytest.raises(MajorantError, match=r"pip install 'majorant\[connectivity\]'"):
            connectivity(planted, method, BAND)


def test_solvers_without_one_matrix_are_refused(trials: Any) -> None:
    made = SourceImager("champagne", space="ico3").fit(trials.info)
    settings = ImageSettings("champagne")
    with pytest.raises(MajorantError, match="no one matrix for all trials"):
        region_links(made, settings, trials.get_data(), "imcoh", BAND, Account())
