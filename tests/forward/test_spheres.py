"""Three spheres are those of MNE, and spheres are fitted to electrodes."""

from __future__ import annotations

import mne
import numpy as np
import pytest

from majorant.errors import MajorantError
from majorant.forward.spheres import INNER, OUTER, directions, fitted_sphere, three_spheres


def test_the_series_is_the_lead_field_of_mne() -> None:
    radius, ways = 0.09, directions(12)
    out = directions(30)
    out = out[out[:, 2] > -0.3]
    names = [f"E{k}" for k in range(len(out))]
    info = mne.create_info(names, 100.0, "eeg", verbose="error")
    places = dict(zip(names, radius * out, strict=True))
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
    model = mne.make_sphere_model(
        (0, 0, 0), radius, relative_radii=(INNER, OUTER, 1.0), sigmas=(0.3, 0.006, 0.3),
        verbose="error",
    )  # fmt: skip
    for depth in (0.4, 0.86):
        dipoles = mne.Dipole(
            np.repeat(np.arange(12), 3), np.repeat(depth * radius * ways, 3, axis=0),
            np.ones(36), np.tile(np.eye(3), (12, 1)), np.full(36, 100.0),
        )  # fmt: skip
        forward, _ = mne.make_forward_dipole(dipoles, model, info, verbose="error")
        theirs = np.hstack([one["sol"]["data"] for one in np.atleast_1d(forward)])  # type: ignore[call-overload]
        ours = three_spheres(out, ways, depth, radius).reshape(36, -1).T
        ours, theirs = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
        # MNE's sphere is itself an approximation by three dipoles.
        assert np.abs(ours - theirs).max() < 5e-3 * np.abs(theirs).max()


def test_a_sphere_is_fitted_to_electrodes() -> None:
    centre, radius = fitted_sphere(0.08 * directions(20)[:12] + [0.01, -0.02, 0.03])
    assert np.allclose(centre, [0.01, -0.02, 0.03])
    assert radius == pytest.approx(0.08)


def test_dipoles_outside_the_brain_are_refused() -> None:
    with pytest.raises(MajorantError, match=r"0\.95 of the head's radius are not in the brain"):
        three_spheres(directions(8), directions(3), 0.95, 0.09)
