"""The template warped to a person: what is recovered, what is kept, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from majorant.errors import MajorantError
from majorant.forward import electrodes as electrode_room
from majorant.forward import template, template_warp
from majorant.forward.deform import smooth_field
from majorant.forward.electrodes import Electrodes, rigid_to_template
from majorant.forward.mesh import nearest_on_surface
from majorant.forward.shells import ShellHead
from majorant.forward.template_bank import template_anatomy
from majorant.forward.warp import Points, circumference, fit_warp, scaled


@pytest.fixture(scope="module")
def head(cached) -> ShellHead:
    return template.template_head()


@pytest.fixture(scope="module")
def cap(head) -> np.ndarray:
    """64 electrodes of the 10-10 system on the template's scalp."""
    listed = electrode_room.montage_electrodes("standard_1020")
    places = electrode_room.align(listed, head).positions
    return places[places[:, 2] > -0.02][:64]


def person(head: ShellHead, seed: int):
    """A known warp of the template: scales, and a smooth field of 3 mm (root mean square)."""
    rng = np.random.default_rng(seed)
    factors = np.diag(1 + 0.06 * rng.standard_normal() + 0.04 * rng.standard_normal(3))
    middle, key = head.scalp.mean(axis=0), int(rng.integers(2**30))

    def known(places: np.ndarray) -> np.ndarray:
        bend = smooth_field(places, 0.06, 3, np.random.default_rng(key))
        return middle + (places - middle) @ factors + 0.003 / 3**0.5 * bend

    return known


@pytest.fixture(scope="module")
def recovered(head, cap) -> np.ndarray:
    """Errors of scalp and cortex, mm, turned only and warped, over three persons."""
    cortex, rows = template_anatomy().positions, []
    for seed in (0, 1, 2):
        known, rng = person(head, seed), np.random.default_rng([seed, 1])
        noisy = known(cap) + 0.002 * rng.standard_normal(cap.shape)
        marks = known(head.fiducials) + 0.002 * rng.standard_normal((3, 3))
        names = tuple(f"E{i}" for i in range(len(cap)))
        rigid = rigid_to_template(Electrodes("cap", names, noisy, marks), head)

        def turned(places: np.ndarray, rigid: np.ndarray = rigid) -> np.ndarray:
            return places @ rigid[:3, :3].T + rigid[:3, 3]

        points = Points(turned(noisy), turned(marks))
        warp = fit_warp(points, head.scalp, head.scalp_faces, head.fiducials)
        upper = head.scalp[head.scalp[:, 2] > -0.03]
        scalp, inside = turned(known(upper)), turned(known(cortex))
        for f in (np.asarray, warp):
            feet = nearest_on_surface(scalp, f(head.scalp), head.scalp_faces)
            rows.append([_rms(feet - scalp), _rms(f(cortex) - inside)])
    return np.array(rows).reshape(3, 2, 2)


def _rms(step: np.ndarray) -> float:
    return 1e3 * float(np.sqrt((step**2).sum(1).mean()))


def test_a_known_warp_is_recovered_from_64_noisy_electrodes(recovered) -> None:
    """2 mm at the scalp and 4 mm in the cortex, on average, with 2 mm of digitisation noise."""
    turned, warped = recovered.mean(axis=0)
    assert warped[0] < 2
    assert warped[1] < 4
    assert turned[0] > 2 * warped[0]


def test_names_are_believed_where_places_agree_alone(head) -> None:
    """Caps of 128 with rings A to D have electrodes A1, A2 and C1 to C6, at other places."""
    rings = electrode_room.align(electrode_room.montage_electrodes("biosemi128"), head)
    assert {"A1", "A2", "C3", "C4"} <= set(rings.ch_names)
    assert template_warp._named(rings.ch_names, rings.positions, head) is None
    usual = electrode_room.align(electrode_room.montage_electrodes("biosemi64"), head)
    named = template_warp._named(usual.ch_names, usual.positions, head)
    assert named is not None
    assert len(named) == 64
    plugged = usual.positions.copy()
    first, second = usual.ch_names.index("F3"), usual.ch_names.index("P4")
    plugged[[first, second]] = plugged[[second, first]]
    named = template_warp._named(usual.ch_names, plugged, head)
    assert named is not None
    assert len(named) == 62


def test_a_cap_of_rings_does_not_tilt_the_head(head) -> None:
    rings = electrode_room.align(electrode_room.montage_electrodes("biosemi128"), head)
    places = dict(zip(rings.ch_names, rings.positions, strict=True))
    marks = dict(zip(("lpa", "nasion", "rpa"), head.fiducials, strict=True))
    warped = template_warp.warp_template(places, marks)
    assert np.allclose(warped.warp.scale, 1.0, atol=0.02)
    moved = np.linalg.norm(warped.person.positions - warped.template.positions, axis=1)
    assert np.median(moved) < 0.002


def test_points_far_off_the_head_count_little(head, cap) -> None:
    points = cap.copy()
    points[::16] *= 1.3
    warp = fit_warp(Points(points, head.fiducials), head.scalp, head.scalp_faces, head.fiducials)
    assert _rms(warp(cap) - cap) < 2


def test_an_unwarped_head_stays_as_it_is(head, cap) -> None:
    warp = fit_warp(Points(cap, head.fiducials), head.scalp, head.scalp_faces, head.fiducials)
    assert _rms(warp(head.scalp) - head.scalp) < 0.5
    assert np.median(warp.after_mm) < 0.2


def test_few_points_are_refused(head, cap) -> None:
    points = Points(cap[:10], head.fiducials)
    with pytest.raises(MajorantError, match="at least 16 digitised points; found 10"):
        fit_warp(points, head.scalp, head.scalp_faces, head.fiducials)


def test_a_circumference_scales(head) -> None:
    length = circumference(head.scalp, head.scalp_faces)
    assert 0.54 < length < 0.62
    smaller = scaled(0.9, head.scalp.mean(axis=0))(head.scalp)
    assert circumference(smaller, head.scalp_faces) == pytest.approx(0.9 * length, rel=0.02)
    with pytest.raises(MajorantError, match="in cm"):
        scaled(5.2, np.zeros(3))


def test_sources_of_a_warped_head_are_those_of_the_template(head, cap) -> None:
    """A head ten per cent larger: the same sources, like topographies, potentials a fifth lower."""
    names = [f"E{i}" for i in range(len(cap))]
    larger = dict(zip(names, 1.1 * cap, strict=True))
    marks = dict(zip(("lpa", "nasion", "rpa"), 1.1 * head.fiducials, strict=True))
    lead, alignment = template_warp.warped_leadfield(larger, marks, space="ico3")
    plain = template.template_leadfield(larger, fiducials=marks, space="ico3")
    assert lead.geometry.fingerprint == plain.geometry.fingerprint
    assert (lead.n_orient, lead.ch_names) == (3, plain.ch_names)
    pair = [x.fixed().gain - x.fixed().gain.mean(dim=0) for x in (lead, plain)]
    cosine = (pair[0] * pair[1]).sum(0) / (pair[0].norm(dim=0) * pair[1].norm(dim=0))
    assert float(cosine.median()) > 0.99
    assert float(pair[0].norm() / pair[1].norm()) == pytest.approx(1.1**-2, rel=0.05)
    assert alignment.by == "warp"
    assert "warped to the fiducials, 64 electrodes" in alignment.sentence()
    again, _ = template_warp.warped_leadfield(larger, marks, space="ico3")
    assert bool((again.gain == lead.gain).all())
