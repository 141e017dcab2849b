"""What the pictures rest on: spreading over the mesh, views, colours, topographies, numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from majorant.findings.facts import SourceMaps
from majorant.forward.cortex import mni305_to_mni152
from majorant.report.colour import DIVERGING
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil, colours, ramp
from majorant.report.figures import _labels
from majorant.report.headline import headline, source_scale
from majorant.report.marks import Mark
from majorant.report.raster import Camera, rasterise
from majorant.report.sensors import reach, sensor_positions
from majorant.report.spread import fill_between, spread
from majorant.report.topography import spherical_spline
from majorant.words import (
    clock,
    escape,
    instant,
    mni,
    number,
    percent,
    written,
)


def maps(n: int, **more) -> SourceMaps:
    return SourceMaps(
        values=np.zeros((2 * n, 1)),
        positions_mni=np.zeros((2 * n, 3)),
        hemisphere=np.repeat([0, 1], n),
        vertices=np.tile(np.arange(n), 2),
        unit="Am",
        signed=True,
        **more,
    )


@pytest.mark.parametrize("n", [162, 642, 2562, 10242])
def test_constants_stay_constant_on_every_vertex(n, surfaces):
    full = spread(maps(n), np.full((2 * n, 1), 3.0), surfaces.faces)
    np.testing.assert_allclose(full, 3.0, rtol=1e-12)


@pytest.mark.parametrize(("n", "error"), [(642, 0.02), (2562, 0.007)])
def test_linear_functions_of_the_sphere_are_nearly_kept(n, error, surfaces):
    ball = surfaces.sphere.astype(np.float64) / 0.1
    full = spread(maps(n), ball[:, :n].reshape(-1, 3), surfaces.faces)
    assert np.abs(full - ball).max() < error


def test_linear_functions_of_a_flat_mesh_are_kept_exactly():
    side = 17
    i, j = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    corner = (i * side + j)[:-1, :-1].ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + side], axis=1),
            np.stack([corner + 1, corner + side + 1, corner + side], axis=1),
        ]
    )
    truth = np.stack([2.0 * i.ravel() - 3.0 * j.ravel() + 1.0, j.ravel() * 1.0], axis=1)
    border = (i % (side - 1) == 0) | (j % (side - 1) == 0)
    values = np.where((border | ((i % 4 == 0) & (j % 4 == 0))).ravel()[:, None], truth, np.nan)
    fill_between(values, faces)
    np.testing.assert_allclose(values, truth, atol=1e-12)


def test_filling_never_exceeds_what_it_comes_from(surfaces):
    values = np.random.default_rng(3).standard_normal((2 * 2562, 2))
    full = spread(maps(2562), values, surfaces.faces)
    assert full.max() <= values.max() + 1e-12
    assert full.min() >= values.min() - 1e-12
    np.testing.assert_array_equal(full[:, :2562].reshape(-1, 2), values)


def test_vertices_far_from_all_locations_stay_empty(surfaces):
    lone = SourceMaps(
        values=np.ones((1, 1)),
        positions_mni=np.zeros((1, 3)),
        hemisphere=np.array([1]),
        vertices=np.array([500]),
        unit="Am",
        signed=True,
    )
    full = spread(lone, np.ones((1, 1)), surfaces.faces)
    assert np.isnan(full[0]).all()
    assert 50 < np.isfinite(full[1]).sum() < 300


def test_of_locations_that_share_a_vertex_the_strongest_shows(surfaces):
    shared = SourceMaps(
        values=np.zeros((3, 1)),
        positions_mni=np.zeros((3, 3)),
        hemisphere=np.array([0, 0, 1]),
        vertices=np.array([7, 7, 7]),
        unit="Am",
        signed=True,
    )
    full = spread(shared, np.array([[1.0, -4.0], [-3.0, 2.0], [9.0, 9.0]]), surfaces.faces)
    np.testing.assert_array_equal(full[0, 7], [-3.0, -4.0])


def test_regions_colour_their_vertices_and_nothing_else(surfaces):
    parcels = np.full((2, 10242), -1)
    parcels[0, :100], parcels[1, :50] = 0, 1
    full = spread(maps(1, parcels=parcels), np.array([[2.0], [-5.0]]), surfaces.faces)
    assert (full[0, :100] == 2).all()
    assert (full[1, :50] == -5).all()
    assert np.isfinite(full).sum() == 150


def test_cameras_put_front_up_and_sides_where_they_belong():
    left, right, above, inner, _, behind = (view.camera.axes() for view in VIEWS)
    front, up, rightwards = np.eye(3)[1], np.eye(3)[2], np.eye(3)[0]
    assert left[0] @ front == -1  # the nose points left in a view from the left
    assert right[0] @ front == 1
    assert inner[0] @ front == 1
    assert above[1] @ front == 1
    assert above[0] @ rightwards == 1
    assert behind[0] @ rightwards == 1
    assert behind[1] @ up == 1
    for axes in (left, right, above, inner, behind):
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)


def test_a_view_interpolates_screen_coordinates_exactly(surfaces):
    raster = rasterise(
        surfaces.inflated[0], surfaces.faces[0], Camera((1, 0, 0)), width=160, height=110
    )
    assert len(np.unique(raster.pixels)) == len(raster.pixels)
    np.testing.assert_allclose(raster.weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(
        raster.interpolate(raster.screen[:, 0]), raster.pixels % 160, atol=1e-3
    )
    np.testing.assert_allclose(
        raster.interpolate(raster.screen[:, 1]), raster.pixels // 160, atol=1e-3
    )
    assert 0.4 < len(raster.pixels) / (160 * 110) < 0.9


def test_a_view_shows_the_near_side(surfaces):
    """From the left one sees the outer side of the left hemisphere: small x."""
    x = surfaces.inflated[0][:, 0].astype(np.float64)
    for view, sign in ((VIEWS[0], -1), (VIEWS[3], 1)):
        seen = rasterise(
            surfaces.inflated[0], surfaces.faces[0], view.camera, width=160, height=110
        )
        assert sign * np.median(seen.interpolate(x)) > 0.005
        assert sign * np.median(x[seen.visible]) > 0


def test_a_nearer_sheet_hides_a_farther_one():
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    sheets = np.vstack([np.c_[np.full(4, depth), corners] for depth in (0.0, 1.0)])
    square = np.array([[0, 2, 1], [0, 3, 2]])
    faces = np.vstack([square, square + 4])
    for looking, nearer in (((1, 0, 0), 0.0), ((-1, 0, 0), 1.0)):
        turned = faces if looking[0] > 0 else faces[:, ::-1]
        raster = rasterise(sheets, turned, Camera(looking), width=20, height=20)
        np.testing.assert_allclose(raster.interpolate(sheets[:, 0]), nearer, atol=1e-6)


def test_values_below_the_threshold_stay_grey_and_marks_stay_on_their_side(surfaces):
    cortex = Cortex(surfaces, height=88)
    values = np.zeros((2, 10242))
    values[0] = np.where(surfaces.inflated[0][:, 0] < 0, 1.0, 0.2)
    for view, coloured in zip(VIEWS[:2] + VIEWS[3:5], (True, False, False, False), strict=True):
        image = np.asarray(cortex.draw(view, values, Scale(1.0, True), Veil(0.4, 0.5)), dtype=float)
        opaque = image[..., 3] == 255
        spread_of_rgb = np.ptp(image[..., :3], axis=2)[opaque]
        assert (np.median(spread_of_rgb) > 50) == coloured
    outer = int(surfaces.inflated[0][:, 0].argmin())
    mark = Mark(0, outer, label="1")
    assert cortex.seen(VIEWS[0], [mark]) == [mark]
    assert not cortex.seen(VIEWS[1], [mark])
    assert not cortex.seen(VIEWS[3], [mark])


def test_a_simulated_source_is_marked_where_it_is(surfaces):
    place = mni305_to_mni152(surfaces.pial[1, 4321])
    mark = Cortex(surfaces, height=88).mark_at("right", tuple(place))
    assert mark == Mark(1, 4321, "truth")


def test_signs_have_their_own_colours_and_strength_is_lightness():
    scale = Scale(2.0, signed=True)
    warm, cold = colours(np.array([2.0]), scale)[0], colours(np.array([-2.0]), scale)[0]
    assert warm[0] > warm[2]
    assert cold[2] > cold[0]
    for sign in (1, -1):
        light = colours(sign * np.linspace(0, 2, 30), scale) @ [0.299, 0.587, 0.114]
        assert (np.diff(light) > 0).all()
    np.testing.assert_array_equal(
        colours(np.array([-1.0]), Scale(2.0, False)), colours(np.array([1.0]), Scale(2.0, False))
    )
    assert ramp(scale).startswith("linear-gradient(to right, #d6fbff 0%")


def test_splines_are_exact_at_electrodes_and_keep_constants():
    rng = np.random.default_rng(0)
    sensors = rng.standard_normal((20, 3))
    sensors /= np.linalg.norm(sensors, axis=1, keepdims=True)
    values = rng.standard_normal(20)
    np.testing.assert_allclose(spherical_spline(sensors, sensors) @ values, values, atol=1e-2)
    targets = -sensors
    np.testing.assert_allclose(spherical_spline(sensors, targets).sum(axis=1), 1, atol=1e-9)


def test_red_is_positive():
    rgb = DIVERGING.colours(np.array([0.0, 0.5, 1.0]))
    assert rgb[0, 2] > rgb[0, 0]
    assert np.ptp(rgb[1]) < 0.01
    assert rgb[2, 0] > rgb[2, 2]


def test_the_vertex_of_the_head_is_in_the_middle_and_the_nose_is_up():
    chs = [{"loc": np.array(place + (0.0,) * 9)} for place in
           ((0, 0, 0.1), (0, 0.1, 0), (0.1, 0, 0), (-0.1, 0, 0))]  # fmt: skip
    xy = sensor_positions({"chs": chs})
    np.testing.assert_allclose(xy, [[0, 0], [0, 1], [1, 0], [-1, 0]], atol=1e-12)
    chs[0]["loc"][:3] = 0
    assert sensor_positions({"chs": chs}) is None


def test_electrodes_are_seen_from_the_centre_of_the_sphere_they_lie_on():
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rings = [
        np.column_stack([np.sin(a) * np.cos(turn), np.sin(a) * np.sin(turn), np.cos(a) + 0 * turn])
        for a in (0.4, 0.9, 1.7)
    ]
    ball = np.vstack(rings)
    chs = [{"loc": np.append(0.09 * p + (0.002, 0.01, 0.045), np.zeros(9))} for p in ball]
    xy = sensor_positions({"chs": chs})
    angles = np.repeat([0.4, 0.9, 1.7], 12) / (np.pi / 2)
    np.testing.assert_allclose(np.hypot(*xy.T), angles, atol=1e-9)
    assert reach(xy) == pytest.approx(1.03 * 1.7 / (np.pi / 2))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-3.14159, "−3.14"),
        (0.01234, "0.0123"),
        (1234.5, "1234"),
        (3e-9, "3.00 × 10⁻⁹"),
        (9.996, "10.0"),
        (0.9996, "1.00"),
        (99999.6, "1.00 × 10⁵"),
    ],
)
def test_numbers_are_short_and_have_true_minus_signs(value, shown):
    assert number(value) == shown


def test_labels_are_joined_until_none_covers_another():
    peaks = [(0.1, 5), (0.104, 2), (0.112, 1), (0.12, 8), (0.26, 7)]
    assert [text for _, text in _labels(peaks, 0.6)] == ["5, 2, 1, 8", "7"]
    assert [text for _, text in _labels([(0.0, 1), (0.3, 2)], 0.6)] == ["1", "2"]
    assert _labels([(0.1, 1), (0.1, 2)], 0.0) == [(0.1, "1"), (0.1, "2")]


def test_units_fit_the_size():
    am = maps(1)
    assert source_scale(am, 8e-9).say(8e-9) == "8.00\u202fnAm"
    assert source_scale(am, 2e-12).label == "pAm"
    assert source_scale(am, 3e-5).label == "µAm"
    assert source_scale(am, 0.0).label == "nAm"
    assert clock(np.array([-0.2, 0.5])).label == "ms"
    assert clock(np.array([0.0, 60.0])).label == "s"
    assert instant(-0.0001, clock(np.array([0.0]))) == "0\u202fms"
    assert mni((-0.2, 3.4, -57.6)) == "0, 3, −58"
    assert percent(0.001) == "less than 1\u202f%"
    assert percent(0.999) == "over 99\u202f%"
    assert escape("a<b\x1b\u202e\n") == "a&lt;b�� "


def test_a_doubted_peak_is_not_the_headline(make) -> None:
    plain = make()
    assert headline(plain)[0].startswith("The strongest activity is at 90")
    n = len(plain.peaks)
    edge = ("lies at the edge of the window", *("",) * (n - 1))
    first, second = headline(replace(plain, doubts=edge))
    assert first.startswith("The strongest activity that may be a source is at ")
    assert "right temporal" in first
    assert second.endswith("but that lies at the edge of the window.")
    first, second = headline(replace(plain, doubts=("is probably the eyes",) * n))
    assert first.startswith("Nothing here can be taken for a source: the strongest activity, at 90")
    assert f"the other {n - 1} peaks" in second
    faint = replace(plain, doubts=edge, faint="No source stands out from noise: it is weak.")
    assert headline(faint) == ("No source stands out from noise.", "It is weak.")
    assert replace(plain, doubts=edge).leading == 1
    assert faint.leading is None


def test_numbers_are_written_as_people_write_them() -> None:
    assert written(112.3, ".2g") == "112"
    assert written(1234.0) == "1234"
    assert written(0.00012) == "0.00012"
    assert written(-2.5e7).startswith("\u22122.50 \u00d7 10")
    for exponent in range(-3, 5):
        assert "e" not in written(1.1 * 10.0**exponent, ".2g")
