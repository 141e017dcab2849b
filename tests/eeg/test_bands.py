"""Power of bands: MNE's own figures where a solver is linear, planted rhythms where they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
from mne.minimum_norm import (
    apply_inverse_cov,
    compute_source_psd_epochs,
    make_inverse_operator,
    source_induced_power,
)
from mne.time_frequency import csd_array_fourier, csd_array_multitaper, csd_morlet

from majorant import SourceImager
from majorant.account import Account
from majorant.cli.image_spectra import _refuse_several
from majorant.imaging.result import ImageSettings
from majorant.problem import MajorantError
from majorant.recording.file import Recording, from_raw, load_recording
from majorant.recording.settings import Preparation
from majorant.spectra.cautions import rise_of
from majorant.spectra.cross import cross_spectra, mean_over
from majorant.spectra.power import BandSettings, image_band, prepare_trials
from majorant.spectra.write import save_power

SNR, SFREQ = 3.0, 100.0


@pytest.fixture(scope="module")
def trials(epochs: Any) -> Any:
    own = epochs.copy().pick("eeg", verbose="error")[:6]
    own.set_eeg_reference("average", projection=True, verbose="error")
    return own.apply_proj(verbose="error")


@pytest.fixture(scope="module")
def noise_cov(trials: Any) -> Any:
    mixing = 5e-6 * (np.eye(32) + 0.2 * np.random.default_rng(5).standard_normal((32, 32)))
    return mne.Covariance(mixing @ mixing.T, trials.ch_names, [], [], 1000)


@pytest.fixture(scope="module")
def operator(trials: Any, sphere_forward: Any, noise_cov: Any) -> Any:
    return make_inverse_operator(
        trials.info, sphere_forward, noise_cov, loose=0.4, depth=0.8, verbose="error"
    )


def imager(method: str, trials: Any, sphere_forward: Any, noise_cov: Any, **more: Any) -> Any:
    made = SourceImager(method.lower(), loose=0.4, depth=0.8, **more)
    return made.fit(trials.info, sphere_forward, noise_cov)


def read(raw: Any) -> Recording:
    return from_raw(Path("rest.fif"), raw, Account())


@pytest.mark.parametrize("n_times", [80, 71])
def test_cross_spectra_are_those_of_mne(n_times: int) -> None:
    data = np.random.default_rng(1).standard_normal((9, 5, n_times))
    found = cross_spectra(data, SFREQ, list("abcde"), (6.0, 30.0))
    expected = csd_array_fourier(data, SFREQ, fmin=6, fmax=30, ch_names=list("abcde"))
    assert np.allclose(found.frequencies, expected.frequencies)
    assert np.allclose(found._data, expected._data, rtol=1e-12, atol=1e-15)
    low, high = found.frequencies[3], found.frequencies[7]
    assert np.allclose(mean_over(found, (low, high))._data, expected.mean(low, high)._data)


@pytest.mark.parametrize("method", ["MNE", "sLORETA", "dSPM"])
@pytest.mark.parametrize("pick_ori", [None, "normal"])
def test_power_of_a_density_is_that_of_mne(
    trials: Any, operator: Any, sphere_forward: Any, noise_cov: Any, method: str, pick_ori: Any
) -> None:
    own = imager(method, trials, sphere_forward, noise_cov, pick_ori=pick_ori)
    csd = csd_array_multitaper(
        trials.get_data(), SFREQ, fmin=8, fmax=13, ch_names=trials.ch_names, verbose="error"
    )
    found = own.apply(csd)
    assert found.tmin == csd.frequencies[0]
    for k, column in enumerate(found.data.T):
        real = mne.Covariance(csd.get_data(index=k).real, trials.ch_names, [], [], 1)
        expected = apply_inverse_cov(
            real, trials.info, operator, lambda2=SNR**-2, method=method, pick_ori=pick_ori,
            verbose="error",
        ).data[:, 0]  # fmt: skip
        assert np.allclose(column, expected, rtol=1e-6, atol=1e-9 * expected.max())


@pytest.mark.parametrize("method", ["MNE", "sLORETA"])
def test_it_is_the_source_spectrum_of_mne(
    trials: Any, operator: Any, sphere_forward: Any, noise_cov: Any, method: str
) -> None:
    own = imager(method, trials, sphere_forward, noise_cov, pick_ori="normal")
    csd = csd_array_multitaper(
        trials.get_data(), SFREQ, fmin=8, fmax=30, bandwidth=8, ch_names=trials.ch_names,
        verbose="error",
    )  # fmt: skip
    spectra = compute_source_psd_epochs(
        trials, operator, lambda2=SNR**-2, method=method, fmin=8, fmax=30, pick_ori="normal",
        bandwidth=8, verbose="error",
    )  # fmt: skip
    expected = np.mean([one.data for one in spectra], axis=0)
    # MNE leaves the sampling rate out of the density of sources, and has it in that of sensors.
    assert np.allclose(own.apply(csd).data, expected / SFREQ, rtol=1e-6)


def test_wavelets_give_the_induced_power_of_mne(
    trials: Any, operator: Any, sphere_forward: Any, noise_cov: Any
) -> None:
    own = imager("sLORETA", trials, sphere_forward, noise_cov)
    same = {"n_cycles": 3, "verbose": "error"}
    csd = csd_morlet(trials, [12.0], **same)
    power, _ = source_induced_power(
        trials, operator, np.array([12.0]), lambda2=SNR**-2, method="sLORETA", pick_ori=None,
        use_fft=False, zero_mean=False, **same,
    )  # fmt: skip
    expected, found = power[:, 0].mean(-1), own.apply(csd).data[:, 0]
    # What a wavelet's power is divided by is a convention; what it is at every place, is not.
    assert np.allclose(found / expected, (found / expected)[0], rtol=1e-6)


@pytest.fixture(scope="module")
def head(sphere_forward: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("head") / "sphere-fwd.fif"
    mne.write_forward_solution(path, sphere_forward, verbose="error")
    return str(path)


@pytest.fixture(scope="module")
def rest(sphere_forward: Any, averages: list[Any]) -> Any:
    """40 s with a rhythm of 10 Hz at location 40, noise, a bad stretch, and an event."""
    rng = np.random.default_rng(7)
    fixed = mne.convert_forward_solution(sphere_forward, force_fixed=True, verbose="error")
    course = np.convolve(rng.standard_normal(4000), np.hanning(200) * np.cos(0.2 * np.pi *
                         np.arange(-100, 100)), "same")  # fmt: skip
    clean = np.outer(fixed["sol"]["data"][:, 40], course / course.std())
    data = 4e-6 * clean / clean.std() + 3e-6 * rng.standard_normal(clean.shape)
    info = mne.create_info(fixed["sol"]["row_names"], SFREQ, "eeg", verbose="error")
    made = mne.io.RawArray(data, info, verbose="error")
    made.set_montage(averages[0].get_montage(), on_missing="ignore", verbose="error")
    made.set_annotations(mne.Annotations([12.0, 20.0], [2.0, 0.0], ["BAD_move", "eyes"]))
    return made


@pytest.mark.parametrize("solver", ["auto", "sloreta", "champagne", "lcmv"])
def test_a_rhythm_at_rest_is_found_where_it_was_planted(
    rest: Any, head: str, solver: str, sphere_forward: Any
) -> None:
    asked = BandSettings((8.0, 12.0), against=(20.0, 30.0))
    prepared = prepare_trials(read(rest), Preparation(), asked)
    # 39 stretches that overlap by half, of which three touch what is marked as bad.
    assert any("36 stretches of 2 s" in said for said in prepared.decisions)
    assert not any("baseline was removed" in said for said in prepared.decisions)
    found = image_band(prepared, ImageSettings(solver, forward=head), asked)
    places = sphere_forward["source_rr"]
    best = found.peaks[0].location
    assert np.linalg.norm(places[best] - places[40]) < 0.025
    assert found.settings.solver == ("eloreta" if solver == "auto" else solver)
    assert not any("nothing rises" in said for said in found.cautions)
    if solver == "champagne":
        # Two bands of its maps are two estimates, and one is no share of the other.
        assert found.share is found.ratio is None
        return
    assert found.share is not None
    assert found.ratio is not None
    assert found.share[best] > 0.6
    assert found.ratio[best] > 5
    assert ((found.share > 0) & (found.share <= 1)).all()


def test_a_band_without_a_rhythm_is_said_to_be_background(rest: Any, head: str) -> None:
    asked = BandSettings((20.0, 25.0))
    prepared = prepare_trials(read(rest), Preparation(), asked)
    found = image_band(prepared, ImageSettings(forward=head), asked)
    assert any("nothing rises above the background" in said for said in found.cautions)
    assert any("muscles" in said for said in found.cautions)
    frequencies = np.arange(2.0, 45.0, 0.5)
    slope = 1 / frequencies[None]
    assert rise_of(frequencies, slope, (8, 12)) == pytest.approx(1)
    bump = slope * (1 + np.exp(-0.5 * (frequencies - 10) ** 2))
    assert rise_of(frequencies, bump, (8, 12)) == pytest.approx(2, rel=0.1)


def test_results_are_read_back(
    rest: Any, head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("majorant.spectra.page.HEIGHT", 30)
    asked = BandSettings((8.0, 12.0))
    prepared = prepare_trials(read(rest), Preparation(tmax=30.0), asked)
    found = image_band(prepared, ImageSettings(forward=head, roi=("left insula",)), asked)
    folder = save_power(found, tmp_path / "out", command="majorant image")
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert set(summary["files"]) <= {path.name for path in folder.iterdir()}
    assert summary["band"] == [8, 12]
    assert [row["name"] for row in summary["regions"]] == ["left insula"]
    assert summary["peaks"][0]["power"] == pytest.approx(found.power.max())
    stc = mne.read_source_estimate(folder / "power-vl.stc")
    assert np.allclose(stc.data[:, 0], found.power, rtol=1e-5)
    page = (folder / "report.html").read_text("utf-8")
    for word in ("On the cortex", "The spectrum", "Places", "Regions", "What was decided"):
        assert f">{word}</h2>" in page
    save_power(found, folder, overwrite=True)


def test_what_cannot_be_is_refused(rest: Any, files: dict[str, Path], head: str) -> None:
    with pytest.raises(MajorantError, match="the lower one first"):
        BandSettings((12.0, 8.0))
    with pytest.raises(MajorantError, match="averages"):
        prepare_trials(load_recording(files["averages"]), Preparation(), BandSettings((8, 12)))
    short = BandSettings((2.0, 4.0), stretch=1.0)
    recording = read(rest)
    with pytest.raises(MajorantError, match="2 cycles of 2 Hz"):
        image_band(prepare_trials(recording, Preparation(), short), ImageSettings(), short)
    for wrong, said in (
        (Preparation(tmin=39.5), "no stretch of 2 s"),
        (Preparation(reject=1e-9), "none of 39 stretches"),
    ):
        with pytest.raises(MajorantError, match=said):
            prepare_trials(recording, wrong, BandSettings((8, 12)))
    with pytest.raises(MajorantError, match="leave one of them out"):
        Preparation(event="eyes", stretch=2.0)
    _refuse_several(recording, Preparation(event="eyes"))
    with pytest.raises(MajorantError, match=r"2 conditions.*--event eyes\+hands"):
        _refuse_several(recording, Preparation(event=("eyes", "hands")))
    asked = BandSettings((8, 12))
    prepared = prepare_trials(recording, Preparation(), asked)
    with pytest.raises(MajorantError, match="time courses"):
        image_band(prepared, ImageSettings("mm-net"), asked)


def test_trials_of_an_event_are_taken_where_one_is_named(rest: Any, head: str) -> None:
    marked = rest.copy()
    marked.set_annotations(mne.Annotations(np.arange(2.0, 38.0, 2.5), 0.0, "go"))
    recording, asked = read(marked), BandSettings((8.0, 12.0))
    prepared = prepare_trials(recording, Preparation(event="go", tmin=0.0, tmax=1.0), asked)
    found = image_band(replace(prepared), ImageSettings("mne", forward=head), asked)
    assert found.trials == 15
    assert found.prepared.noise_kind == "baseline"
