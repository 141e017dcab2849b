"""Regions, names of places, patches."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from majorant.forward.cortex import (
    LOBES,
    build_parcels,
    grow_patch,
    is_connected,
    lobe,
    mni305_to_mni152,
    parcels_from_annotation,
)
from majorant.forward.graph import UNREACHABLE
from majorant.forward.leadfield import Leadfield
from majorant.forward.surfaces import read_surfaces
from majorant.problem import MajorantError


@pytest.fixture(scope="module")
def surfaces():
    """The template's cortex."""
    return read_surfaces()


def test_the_packaged_regions_are_994_connected_ones(regions, surfaces) -> None:
    """497 per hemisphere, each one piece, of similar size, none in the wall."""
    parcels = regions.parcels
    assert parcels.shape == (2, 10242)
    assert bool(is_connected(parcels, surfaces.faces).all())
    assert len(torch.unique(parcels[0][parcels[0] >= 0])) == 497
    assert int(parcels[1][parcels[1] >= 0].min()) == 497
    assert regions.n_locations == 994
    sizes = torch.bincount(parcels[parcels >= 0])
    assert 5 <= int(sizes.min()) <= int(sizes.max()) <= 60
    assert [(parcels[i] < 0).sum().item() for i in range(2)] == [667, 656]


def test_the_parcellation_can_be_made_again(regions, surfaces) -> None:
    """The same surfaces give the same regions, whatever the order of the faces."""
    made = build_parcels(surfaces.mid, surfaces.faces[:, ::-1].copy(), surfaces.thickness)
    assert made.n_regions == 994
    assert made.wall == (667, 656)
    assert bool(is_connected(made.parcels, surfaces.faces).all())
    assert float((made.parcels == regions.parcels).double().mean()) > 0.99


def test_a_torn_region_is_noticed(regions, surfaces) -> None:
    """`is_connected` is not always true."""
    torn = regions.parcels.clone()
    far = int(np.linalg.norm(surfaces.pial[0] - surfaces.pial[0][0], axis=1).argmax())
    torn[0, far] = torn[0, 0]
    assert not bool(is_connected(torn, surfaces.faces)[torn[0, 0]])


def test_regions_have_about_six_neighbours_in_their_own_hemisphere(regions) -> None:
    """Adjacency is symmetric by construction, without loops, mean degree 5 to 7."""
    edges = regions.edges
    assert bool((edges[:, 0] < edges[:, 1]).all())
    assert 5 < 2 * len(edges) / 994 < 7
    side = regions.hemisphere
    assert torch.equal(side[edges[:, 0]], side[edges[:, 1]])
    assert torch.bincount(side).tolist() == [497, 497]
    assert bool((regions.positions[side == 0, 0] < 0.005).all())
    assert bool((regions.positions[side == 1, 0] > -0.005).all())


def test_hop_distances_of_the_cortex_form_a_metric(regions) -> None:
    """Symmetric; triangle inequality; one piece per hemisphere; steps of one are the edges."""
    hops = regions.hops()
    assert torch.equal(hops, hops.T)
    assert torch.equal(hops < UNREACHABLE, regions.hemisphere[:, None] == regions.hemisphere)
    assert int((hops == 1).sum()) == 2 * len(regions.edges)
    left = hops[:497, :497]
    for middle in range(0, 497, 50):
        assert bool((left <= left[:, [middle]] + left[[middle], :]).all())
    metric = regions.metric()
    torch.testing.assert_close(metric, metric.T)
    straight = torch.cdist(regions.positions[:497], regions.positions[:497])
    assert bool((metric[:497, :497] >= straight - 1e-12).all())


def test_patches_grow_by_hops(regions) -> None:
    """Order 0 is the seed; every order holds the one before; one hemisphere only."""
    previous = {100}
    assert grow_patch(regions, 100, 0).tolist() == [100]
    for order in (1, 2, 3):
        patch = set(grow_patch(regions.hops(), 100, order).tolist())
        assert previous < patch
        assert set(grow_patch(regions, 100, order).tolist()) == patch
        previous = patch
    assert max(previous) < 497


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("temporal", (48, -20, 8)),
        ("temporal", (40, -50, -20)),
        ("temporal", (42, 12, -32)),
        ("occipital", (8, -88, 0)),
        ("occipital", (8, -82, 24)),
        ("central/sensorimotor", (-38, -25, 58)),
        ("central/sensorimotor", (-54, -8, 30)),
        ("parietal", (25, -60, 62)),
        ("parietal", (-48, -62, 32)),
        ("parietal", (6, -62, 44)),
        ("frontal", (42, 35, 28)),
        ("frontal", (25, 35, -16)),
        ("frontal", (5, 0, 62)),
        ("frontal", (-50, 20, 14)),
        ("cingulate/limbic", (5, -48, 28)),
        ("cingulate/limbic", (4, 30, 20)),
        ("cingulate/limbic", (24, -28, -18)),
        ("insula", (38, 5, 2)),
    ],
)
def test_lobes_are_named(name: str, place: tuple[float, float, float]) -> None:
    """Textbook places get their lobe, on either side."""
    x, y, z = place
    assert lobe((x, y, z)) == lobe((-x, y, z)) == name


def test_every_region_has_a_lobe(regions) -> None:
    """All names occur, and none but those of the table; nonsense is refused."""
    found = {lobe(place) for place in mni305_to_mni152(regions.positions)}
    assert found == {entry[0] for entry in LOBES}
    with pytest.raises(MajorantError, match="no position"):
        lobe((float("nan"), 0, 0))


def test_mni152_follows_the_published_matrix() -> None:
    """The example of the FreeSurfer wiki, in millimetres."""
    moved = mni305_to_mni152(np.array([0.010, -0.020, 0.035]))
    np.testing.assert_allclose(moved, [10.695, -18.409, 36.137], atol=5e-3)


def test_an_annotation_of_ones_own_becomes_parcels() -> None:
    """Labels with gaps, the same on both sides, are numbered left to right."""
    parcels = parcels_from_annotation([5, 5, 0, 9], [9, 0, 0, 5], background=0)
    assert parcels.tolist() == [[0, 0, -1, 1], [3, -1, -1, 2]]
    with pytest.raises(MajorantError, match="left hemisphere"):
        parcels_from_annotation([-1, -1], [0, 1])
    with pytest.raises(MajorantError, match="as many"):
        parcels_from_annotation([1, 2], [1])


def test_the_packaged_leadfield_needs_no_mne() -> None:
    """It loads with torch, numpy, scipy and safetensors alone."""
    code = (
        "import sys; from majorant.forward import Leadfield; L = Leadfield.template_small();"
        "assert L.gain.shape == (90, 994);"
        "assert not {'mne', 'nilearn', 'nibabel', 'sklearn', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_packaged_leadfield_is_small() -> None:
    """Less than 1 MB in the wheel."""
    from importlib import resources

    folder = resources.files("majorant.forward") / "data"
    sizes = [len(entry.read_bytes()) for entry in folder.iterdir()]
    assert sum(sizes) < 1_000_000
    assert isinstance(Leadfield.template_small(), Leadfield)
