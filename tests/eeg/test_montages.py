"""Every montage that MNE knows is placed on the head and imaged."""

from __future__ import annotations

from typing import Any

import mne
import numpy as np
import pytest

from majorant import SourceImager
from majorant.account import Account
from majorant.forward.electrodes import align, digitised_electrodes
from majorant.forward.leadfield import Leadfield
from majorant.forward.shells import compute_gain
from majorant.forward.template import template_head
from majorant.head.template import dressed, electrode_places
from majorant.problem import MajorantError
from majorant.recording.channels import interpolate_bads, mark_bads
from majorant.recording.montage import place, read_montage

MONTAGES = sorted(
    name
    for name in mne.channels.get_builtin_montages()
    if "fnirs" not in name and name not in ("artinis-octamon", "artinis-brite23", "brainproducts")
)


def sources() -> Leadfield:
    """Twenty of the template's regions."""
    return Leadfield.template_small().subset(np.arange(0, 994, 50))


@pytest.mark.parametrize("name", MONTAGES)
def test_every_standard_montage_is_imaged(name: str) -> None:
    placed = read_montage(name)
    names = placed.montage.ch_names
    if len(names) > 100:
        # 10-05 names more places than any cap has electrodes.
        names = names[:: len(names) // 64 + 1] if "1005" in name else names
    info = mne.create_info(list(names), 100.0, "eeg", verbose="error")
    data = 1e-5 * np.random.default_rng(0).standard_normal((len(names), 5))
    evoked = mne.EvokedArray(data, info, verbose="error")
    account = Account()
    place(evoked, placed, account)
    places, fiducials = electrode_places(evoked.info)
    head, some = template_head(), sources()
    alignment = align(digitised_electrodes(places, fiducials), head)
    assert alignment.median_mm < 12, alignment.sentence()
    gain = compute_gain(
        head,
        some.positions.numpy(),
        some.normals.numpy(),
        alignment.ch_names,
        alignment.positions,
    )
    lead = Leadfield.from_arrays(
        gain.astype(float),
        n_orient=3,
        positions=some.positions,
        normals=some.normals,
        ch_names=alignment.ch_names,
    ).fixed()
    lead = Leadfield.from_arrays(
        lead.gain, positions=lead.positions, normals=lead.normals, ch_names=lead.ch_names,
        kind="regions",
    )  # fmt: skip
    imager = SourceImager("sloreta").fit(evoked.info, dressed(lead, evoked.info))
    whole = imager.leadfield_.gain.numpy()
    whole = whole - whole.mean(0)
    # Sources of 10 nAm each.
    seen = mne.EvokedArray(1e-8 * whole, evoked.info, nave=1, verbose="error")
    stc = imager.apply(seen)
    assert imager.rank_ == len(evoked.ch_names) - 1
    # One source at a time and no noise: sLORETA finds every one, whatever the montage.
    assert np.array_equal(np.abs(stc.data).argmax(0), np.arange(lead.n_locations))


def test_bad_electrodes_are_left_out_or_interpolated_and_named(raw: Any) -> None:
    start = raw.copy().crop(0, 2).pick("eeg", verbose="error")
    kept, account = start.copy(), Account()
    mark_bads(kept, ["cz", "Oz"], account, interpolate=True)
    interpolate_bads(kept, account)
    assert kept.ch_names == start.ch_names
    # Interpolated electrodes say nothing that the others do not: they stay out of the inverse.
    assert kept.info["bads"] == ["Oz", "Cz"]
    assert account.decisions[-1].startswith("Interpolated from their neighbours: Oz, Cz.")
    row = start.ch_names.index("Cz")
    assert not np.allclose(kept.get_data()[row], start.get_data()[row])
    dropped, account = start.copy(), Account()
    mark_bads(dropped, ["cz", "Oz"], account)
    assert len(dropped.ch_names) == 30
    assert account.decisions == ["Left out as bad: Oz, Cz."]
    together = start.copy()
    together.rename_channels({"Fp1": "Fp1,Fp2"}, verbose="error")  # a name is a name
    mark_bads(together, ["fp1,fp2", "cz, Oz"], account)
    assert account.decisions[-1] == "Left out as bad: Fp1,Fp2, Oz, Cz."
    with pytest.raises(MajorantError, match="no channel Q1 to mark"):
        mark_bads(start, ["Cz,Q1"], account)


def test_mixed_units_are_named(raw: Any) -> None:
    from majorant.recording.channels import check_samples

    data = raw.copy().pick("eeg", verbose="error").get_data()
    data[[3, 7]] *= 1e6
    names = raw.ch_names[:32]
    with pytest.raises(MajorantError, match=f"{names[3]}, {names[7]} .* mix units"):
        check_samples(data, names)


def test_a_rank_that_is_too_low_and_a_covariance_of_others_are_said(
    averages: list[Any], sphere_forward: Any
) -> None:
    evoked = averages[0].copy().pick("eeg", verbose="error")
    vector = np.random.default_rng(0).standard_normal(32)
    flat = mne.Covariance(1e-12 * np.outer(vector, vector), evoked.ch_names, [], [], 100)
    with pytest.raises(MajorantError, match="1 of 32 dimensions are left, and at least 4"):
        SourceImager("sloreta", loose=1).fit(evoked.info, sphere_forward, flat)
    other = mne.Covariance(np.eye(3), ["X1", "X2", "X3"], [], [], 100)
    with pytest.raises(MajorantError, match="covariance and the recording have no good channel"):
        SourceImager("sloreta").fit(evoked.info, sphere_forward, other)
    with pytest.raises(MajorantError, match="the rank is 'all'"):
        SourceImager("sloreta", rank="all").fit(evoked.info, sphere_forward)
