"""An electrode that drifts by itself is found and doubted; a shallow source below one is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mne
import numpy as np
import pytest

from majorant import SourceImager
from majorant.account import Account
from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield
from majorant.recording import lone
from majorant.recording.lone import find_lone
from majorant.recording.prepare import measured
from majorant.recording.settings import Preparation

FEW = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()  # noqa: SIM905
MORE = [*FEW, *"FC5 FC1 FC2 FC6 CP5 CP1 CP2 CP6 PO3 PO4 AF3 AF4 Oz".split()]  # noqa: SIM905
TIMES = np.arange(-20, 50) / 100
NOISE_V = 0.5e-6
"""Of the average."""


def recorded(
    head: Leadfield, names: Sequence[str], region: int | None, microvolts: float, seed: int = 0
) -> Any:
    """An average of noise and one region, so strong at the electrode that sees it most."""
    rng = np.random.default_rng(seed)
    info = mne.create_info(list(names), 100.0, "eeg", verbose="error")
    info.set_montage("colin27_1020", verbose="error")
    data = NOISE_V * rng.standard_normal((len(names), len(TIMES)))
    if region is not None:
        seen = head.pick(names).gain[:, region].numpy()
        seen = seen - seen.mean()
        course = np.exp(-0.5 * ((TIMES - 0.15) / 0.04) ** 2)
        data += 1e-6 * microvolts * np.outer(seen / np.abs(seen).max(), course)
    data -= data.mean(axis=0)
    return mne.EvokedArray(data, info, tmin=-0.2, nave=20, baseline=(None, 0), verbose="error")


def drifting(evoked: Any, name: str, microvolts: float) -> Any:
    """The same with one electrode that drifts away after the event."""
    evoked = evoked.copy()
    evoked.data[evoked.ch_names.index(name)] += 1e-6 * microvolts * np.clip(2 * TIMES, 0, None)
    return evoked


def noise(evoked: Any) -> Any:
    """What the noise of a trial is."""
    cov = np.full(len(evoked.ch_names), evoked.nave * NOISE_V**2)
    return mne.Covariance(cov, evoked.ch_names, [], [], 1000)


def shallow(head: Leadfield, names: Sequence[str], name: str) -> int:
    """The region that an electrode sees best of all that it sees best."""
    seen = head.pick(names).gain.numpy()
    seen = np.abs(seen - seen.mean(axis=0))
    return int(seen[names.index(name)].argmax())


def back(head: Leadfield) -> int:
    """A region at the back of the head."""
    return shallow(head, MORE, "O2")


@pytest.mark.parametrize("names", [FEW, MORE], ids=["19", "32"])
def test_shallow_sources_are_not_alone(template: Leadfield, names: Sequence[str]) -> None:
    """The most local source of some electrodes, faint and strong."""
    for k, name in enumerate("F7 Fz C3 P4 O1".split()):  # noqa: SIM905
        evoked = recorded(template, names, shallow(template, names, name), (3.0, 20.0)[k % 2], k)
        assert not find_lone(evoked, noise(evoked)), name


def test_an_electrode_that_drifts_is_alone(template: Leadfield) -> None:
    for name in ("F3", "CP5", "PO4"):
        evoked = drifting(recorded(template, MORE, back(template), 3.0), name, 8.0)
        found = find_lone(evoked, noise(evoked))
        assert [own.name for own in found] == [name]
        assert found[0].largest == pytest.approx(8e-6, rel=0.25)
        assert found[0].time > 0.4
        assert found[0].noise == pytest.approx(NOISE_V)


def test_two_that_drift_are_both_found(template: Leadfield) -> None:
    evoked = drifting(drifting(recorded(template, MORE, None, 0.0), "F3", 9.0), "P4", 7.0)
    assert {own.name for own in find_lone(evoked, noise(evoked))} == {"F3", "P4"}


def test_noise_alone_is_not(template: Leadfield) -> None:
    for seed in range(4):
        evoked = recorded(template, FEW, None, 0.0, seed)
        assert not find_lone(evoked, noise(evoked))
        single = evoked.copy().crop(0.1, 0.1)
        assert not find_lone(single, noise(single))


def _place(imager: SourceImager, evoked: Any) -> float:
    """Where the estimate is strongest: in front of the middle above 0, m."""
    lead, size = imager.leadfield_, imager.solve(evoked).estimate[0].abs().amax(dim=1)
    return float(lead.positions[int(size.argmax()), 1])


def test_estimates_do_not_rest_on_it(template: Leadfield) -> None:
    """With the rule off, the drift is a frontal source; with it on, the back of the head leads."""
    clean = recorded(template, MORE, back(template), 3.0)
    evoked = drifting(clean, "F3", 12.0)
    doubted = SourceImager("sloreta").fit(evoked, template, noise(evoked))
    believed = SourceImager("sloreta", lone="believe").fit(evoked, template, noise(evoked))
    bare = SourceImager("sloreta").fit(evoked.info, template, noise(evoked))
    assert _place(doubted, evoked) < -0.05
    assert _place(believed, evoked) > 0.0
    assert _place(bare, evoked) > 0.0
    assert any("F3 shows what no other electrode does" in said for said in doubted.notes_)
    assert any("takes it at its word" in said for said in believed.notes_)
    # A tenth of a volt, and all others are still whitened.
    wild = drifting(clean, "F3", 1e5)
    wild.data -= wild.data.mean(axis=0)
    imager = SourceImager("sloreta").fit(wild, template, noise(wild))
    assert imager.rank_ == len(MORE) - 1
    assert _place(imager, wild) < -0.05


def test_only_the_noise_of_that_electrode_grows(template: Leadfield) -> None:
    evoked = drifting(recorded(template, MORE, None, 0.0), "F3", 10.0)
    made = measured(evoked, Account(), noise(evoked))
    kept = measured(evoked, Account(), noise(evoked), lone="believe")
    (own,) = made.lone
    k = made.noise_cov.ch_names.index("F3")
    grown = np.asarray(made.noise_cov.data) - np.diag(np.asarray(kept.noise_cov.data))
    assert own.doubted
    assert not kept.lone[0].doubted
    assert grown[k, k] == pytest.approx(evoked.nave * own.largest**2)
    grown[k, k] = 0
    assert not grown.any()
    assert replace(own, doubted=False) == kept.lone[0]


def test_what_tells_nothing_is_not_asked(template: Leadfield, monkeypatch: Any) -> None:
    evoked = drifting(recorded(template, MORE, None, 0.0), "F3", 10.0)
    cov = noise(evoked)
    assert find_lone(evoked, cov)
    giant = evoked.copy()
    for channel in giant.info["chs"]:
        channel["loc"][:3] *= 10
    assert not find_lone(giant, cov)
    assert not find_lone(evoked, mne.Covariance(0 * cov.data, cov.ch_names, [], [], 10))
    monkeypatch.setattr(lone, "LEAST", np.inf)
    assert not find_lone(evoked, cov)


def test_words_that_are_none_are_refused() -> None:
    for door in (lambda: Preparation(lone="drop"), lambda: SourceImager(lone="drop")):
        with pytest.raises(MajorantError, match="expected 'doubt' or 'believe'"):
            door()
