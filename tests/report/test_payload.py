"""What the interactive page is given: regions, samples, arrays, and the library it carries."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from majorant.findings.facts import SourceMaps
from majorant.report.cells import cells
from majorant.report.payload import (
    MOST_SAMPLES,
    Explored,
    explorer_data,
    packed,
    safe_json,
    samples,
)
from majorant.report.sensors import sensor_positions
from majorant.report.topography import coefficients, kernel


def maps(n: int, values: np.ndarray) -> SourceMaps:
    return SourceMaps(
        values=values,
        positions_mni=np.zeros((2 * n, 3)),
        hemisphere=np.repeat([0, 1], n),
        vertices=np.tile(np.arange(n), 2),
        unit="Am",
        signed=True,
    )


def unpacked(block: dict) -> np.ndarray:
    kinds = {"i16": "<i2", "u16": "<u2", "u8": "u1", "f32": "<f4"}
    raw = np.frombuffer(base64.b64decode(block["base64"]), kinds[block["type"]])
    return raw * block.get("scale", 1)


def test_many_locations_are_gathered_into_the_templates_regions(surfaces):
    values = np.random.default_rng(0).standard_normal((2 * 2562, 3))
    source = maps(2562, values)
    found = cells(source, surfaces.faces)
    assert len(found.location) == 994
    assert set(np.unique(found.vertex)) == set(range(994))
    own = found.vertex[source.hemisphere, source.vertices]
    strength = np.abs(values).max(axis=1)
    for region in range(0, 994, 37):
        assert own[found.location[region]] == region
        assert strength[found.location[region]] == strength[own == region].max()
    assert found.of(source, int(found.location[5])) == 5


def test_few_locations_are_regions_of_their_own_and_far_vertices_of_none(surfaces):
    found = cells(maps(162, np.ones((324, 1))), surfaces.faces)
    np.testing.assert_array_equal(found.location, np.arange(324))
    np.testing.assert_array_equal(found.vertex[1, :162], 162 + np.arange(162))
    lone = SourceMaps(np.ones((1, 1)), np.zeros((1, 3)), np.array([0]), np.array([9]), "Am", True)
    found = cells(lone, surfaces.faces)
    assert (found.vertex[1] == -1).all()
    assert 50 < (found.vertex[0] == 0).sum() < 300


def test_long_estimates_are_thinned_out_and_keep_their_peaks(make):
    content = make(n_times=3001, space="ico3")
    kept = samples(Explored.of(content))
    assert len(kept) <= MOST_SAMPLES + len(content.peaks)
    assert np.diff(kept).max() <= 15
    for peak in content.peaks:
        assert np.abs(content.times[kept] - peak.time).min() == 0


def test_values_survive_the_journey(make, surfaces):
    content = make(n_times=21, space="ico3", n_channels=19)
    regions = cells(content.sources, surfaces.faces)
    data = json.loads(safe_json(explorer_data(Explored.of(content), regions, surfaces)))
    found = unpacked(data["values"]).reshape(len(regions.location), 21)
    expected = content.sources.values[regions.location]
    np.testing.assert_allclose(found, expected, atol=np.abs(expected).max() / 65_000)
    assert data["peaks"][0]["region"] == data["start"]["region"]
    assert data["deviation"] is None


def test_the_tabled_spline_equals_the_spline_at_the_electrodes(make):
    """The page interpolates the kernel in a table; at an electrode the map is its value."""
    content = make(n_times=21, space="ico3", n_channels=60)
    xy = sensor_positions(content.info)
    assert xy is not None
    table = unpacked(packed(kernel(np.linspace(-1, 1, 8192)), "f32"))
    weights = unpacked(packed(coefficients(xy).ravel(), "f32")).reshape(61, 60)
    radius = np.hypot(*xy.T)
    aside = np.sin(radius * np.pi / 2) / np.where(radius > 0, radius, 1)
    places = np.column_stack([xy * aside[:, None], np.cos(radius * np.pi / 2)])
    bent = np.interp(places @ places.T, np.linspace(-1, 1, 8192), table)
    values = content.data[:, 5]
    drawn = weights @ values
    np.testing.assert_allclose(bent @ drawn[:60] + drawn[60], values, atol=0.02 * np.ptp(values))


@pytest.mark.parametrize("text", ["</script>", "<!--", "\u2028", "&lt;", "\ud800", "é"])
def test_no_string_can_end_the_block_that_holds_it(text: str):
    said = safe_json({text: text})
    assert said.isascii()
    assert not set("<>&") & set(said)
    assert json.loads(said) == {text: text}


def test_the_library_is_the_one_that_was_bundled():
    folder = resources.files("majorant.report").joinpath("vendor")
    library = folder.joinpath("three.min.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() in folder.joinpath("README.md").read_text("utf-8")
    for dangerous in (b"</script", b"<!--", b"eval(", b"new Function"):
        assert dangerous not in library


def test_a_page_without_a_deviation_has_no_such_map(make, surfaces):
    content = replace(make(n_times=21, space="ico3"), uncertainty=None)
    assert content.deviation_at(content.peaks[0]) is None
