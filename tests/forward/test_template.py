"""The offline head: its physics, its source spaces, its cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from majorant.files.cache import Cache, cache_folder
from majorant.forward import average_reference, shells, template
from majorant.forward.leadfield import Leadfield
from majorant.forward.mesh import cast_rays
from majorant.forward.shells import MIN_DEPTH
from majorant.problem import MajorantError


@pytest.fixture
def full(cached) -> Leadfield:
    """Free dipoles at every pial vertex, seen by the 90 electrodes."""
    return template.template_leadfield("standard_90", space="ico5")


def test_the_packaged_leadfield_is_the_template(full, regions) -> None:
    """Region sums of the freshly computed gain equal what is shipped, in single precision."""
    again = full.fixed().regions(template.template_parcels())
    # Float32 potentials cancel in the sums: compare with the size of what is summed.
    assert float((again.gain - regions.gain).abs().max()) < 1e-4 * float(regions.gain.abs().max())
    torch.testing.assert_close(again.positions, regions.positions, atol=1e-7, rtol=0)
    assert torch.equal(again.edges, regions.edges)
    assert again.ch_names == regions.ch_names
    direct = template.template_leadfield("standard_90", space="regions")
    assert torch.equal(direct.gain, again.gain)


def test_sizes_and_names(full) -> None:
    """20,484 vertices with three columns, 90 names without T3 to T6."""
    assert (full.n_locations, full.n_orient, full.n_sensors) == (20484, 3, 90)
    assert not {"T3", "T4", "T5", "T6"} & set(full.ch_names)
    assert full.subject == "fsaverage"
    torch.testing.assert_close(full.normals.norm(dim=1), torch.ones(20484, dtype=torch.float64))


def test_gains_are_those_of_a_human_head(full) -> None:
    """A dipole of 10 nA m gives 0.1 to 20 microvolts; the strongest column is no outlier."""
    gain = average_reference(90) @ full.fixed().gain
    spread = (gain * 10e-9 * 1e6).norm(dim=0) / 90**0.5
    assert 0.1 < float(spread.median()) < 20
    assert float(spread.max()) < 10 * float(spread.median())


def test_an_outward_dipole_is_positive_above_itself(full) -> None:
    """Gyral crowns under C3, C4 and Cz: the nearest electrodes see a positive potential."""
    alignment = template.template_alignment("standard_90")
    referenced = full.fixed().gain - full.fixed().gain.mean(dim=0)
    for name in ("C3", "C4", "Pz"):
        i = full.ch_names.index(name)
        place = torch.from_numpy(alignment.positions[i])
        outward = torch.nn.functional.normalize(place - full.positions, dim=1)
        radial = (outward * full.normals).sum(dim=1) > 0.95
        near = (place - full.positions).norm(dim=1)
        crown = int(torch.where(radial, near, torch.inf).argmin())
        assert float(referenced[i, crown]) > 0
        assert float(referenced[i, crown]) > 0.5 * float(referenced[:, crown].max())


def test_left_sources_are_seen_on_the_left(full) -> None:
    """The electrode with the largest referenced gain lies on the source's side, mostly."""
    alignment = template.template_alignment("standard_90")
    gain = full.fixed().gain
    gain = gain - gain.mean(dim=0)
    lateral = (full.positions[:, 0].abs() > 0.04).nonzero().flatten()
    strongest = alignment.positions[gain[:, lateral].abs().argmax(dim=0).numpy(), 0]
    same = np.sign(strongest) == np.sign(full.positions[lateral, 0].numpy())
    assert same.mean() > 0.9


def test_sources_lie_under_the_inner_skull(full) -> None:
    """All at least 1 mm deep; only a few pial vertices were moved, by less than 2 mm."""
    head, surfaces = template.template_head(), template.template_surfaces()
    inner = head.shells[0]
    centre = inner.mean(axis=0)
    moved = np.linalg.norm(full.positions.numpy() - surfaces.pial.reshape(-1, 3), axis=1)
    assert 0 < (moved > 1e-9).sum() < 30
    assert moved.max() < 0.002
    outer = np.argsort(np.linalg.norm(full.positions.numpy() - centre, axis=1))[-2000:]
    place = full.positions.numpy()[outer] - centre
    radius = np.linalg.norm(place, axis=1)
    limit = cast_rays(centre, place / radius[:, None], inner, head.shell_faces)
    assert (limit - radius).min() > MIN_DEPTH * 0.999


def test_shells_are_nested(cached) -> None:
    """Inner skull inside outer skull inside scalp, the skull 3 to 7 mm thick."""
    head = template.template_head()
    centre = head.shells[0].mean(axis=0)
    radius = np.linalg.norm(head.shells - centre, axis=2)
    skull = (radius[1] - radius[0]) * 1e3
    assert 3 < skull.min() <= skull.max() <= 7 + 1e-6
    assert (radius[2] - radius[1]).min() > 0.002
    assert head.shells[2][:, 2].min() > -0.1101


@pytest.mark.parametrize(
    ("space", "count"), [("ico4", 5124), ("ico3", 1284), ("oct5", 2052), ("oct4", 516)]
)
def test_smaller_spaces_are_subsets_with_their_own_mesh(full, space: str, count: int) -> None:
    """Their columns are columns of the full gain; every vertex has about six neighbours."""
    lead = template.template_leadfield("standard_90", space=space, fixed=True)
    assert lead.n_locations == count
    rows = lead.hemisphere * 10242 + lead.vertices
    assert torch.equal(lead.gain, full.fixed().gain[:, rows])
    assert 5.9 < 2 * len(lead.edges) / count < 6
    lengths = (lead.positions[lead.edges[:, 0]] - lead.positions[lead.edges[:, 1]]).norm(dim=1)
    assert float(lengths.max()) < 0.06
    assert int((lead.hops([0])[0] < 1_000_000).sum()) == count // 2


def test_a_less_conducting_skull_weakens_the_potentials(cached, full) -> None:
    """Half the conductivity of the skull: less at the scalp, and the cached gain is this gain."""
    index = torch.arange(0, 20484, 401)
    some = full.subset(index)
    alignment = template.template_alignment("standard_90")
    h = average_reference(90)
    gains = [
        h
        @ torch.from_numpy(
            shells.compute_gain(
                shells.build_head((0.3, skull, 0.3)) if skull < 0.006 else template.template_head(),
                some.positions.numpy(),
                some.normals.numpy(),
                alignment.ch_names,
                alignment.positions,
            )
        ).double()
        for skull in (0.006, 0.003)
    ]
    torch.testing.assert_close(gains[0], h @ some.gain, rtol=1e-4, atol=1e-3)
    assert float(gains[1].norm()) < 0.9 * float(gains[0].norm())


def test_the_second_time_needs_neither_mne_nor_nilearn(cached, full) -> None:
    """From the cache, only the files are read."""
    code = (
        "import sys; from majorant.forward.template import template_leadfield as t;"
        "t('standard_90'); t('standard_90', space='ico4');"
        "assert not {'mne', 'nilearn', 'nibabel', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_damaged_cache_is_made_again_and_that_is_said(cached, full, tmp_path, monkeypatch):
    """One flipped byte in the surfaces: one line, the same result, a good file."""
    own = tmp_path / "cache"
    shutil.copytree(cached, own)
    monkeypatch.setenv("MAJORANT_CACHE", str(own))
    path = next(own.glob("surfaces-*"))
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    said: list[str] = []
    again = template.template_leadfield("standard_90", space="ico5", progress=said.append)
    assert torch.equal(again.gain, full.gain)
    assert sum("made again" in line for line in said) == 1
    path.write_bytes(data[:1000])
    with pytest.warns(UserWarning, match="made again"):
        template.template_surfaces()
    said.clear()
    template.template_leadfield("standard_90", space="ico5", progress=said.append)
    assert said == []


def test_without_a_writable_cache_it_works_and_says_so(tmp_path, monkeypatch) -> None:
    """The folder's place is taken by a file."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("MAJORANT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="cannot be written"):
        surfaces = template.template_surfaces()
    assert surfaces.pial.shape == (2, 10242, 3)


def test_the_cache_folder_follows_the_environment(monkeypatch) -> None:
    """MAJORANT_CACHE, then XDG_CACHE_HOME, then ~/.cache."""
    monkeypatch.delenv("MAJORANT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", os.sep + "xdg")
    assert cache_folder() == Path("/xdg/majorant")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "majorant"
    monkeypatch.setenv("MAJORANT_CACHE", "/own")
    assert cache_folder() == Path("/own")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"electrodes": "no-such-cap"}, "no montage named 'no-such-cap'; known are .*biosemi64"),
        ({"electrodes": "standard_90", "space": "ico9"}, "no source space 'ico9'"),
        ({"electrodes": "standard_90", "conductivity": (0.3, 0.006)}, "expected three positive"),
        ({"electrodes": "standard_90", "ch_names": ["Cz", "T3"]}, "no electrode named T3"),
        ({"electrodes": {}}, "no electrode positions"),
        ({"electrodes": {"A": (np.nan, 0, 0), "B": (0, 0, 0)}}, "positions of A, B are not known"),
        ({"electrodes": {"A": (0, 0, 95.0)}}, "expected metres"),
        (
            {"electrodes": {"A": (0, 0, 0.1)}, "fiducials": {"lpa": (-0.08, 0, 0)}},
            "lack nasion, rpa",
        ),
    ],
)
def test_mistakes_get_one_sentence(cached, arguments: dict, sentence: str) -> None:
    """What was found, what was expected."""
    with pytest.raises(MajorantError, match=sentence):
        template.template_leadfield(**arguments)


def test_what_cannot_be_kept_is_made_once_for_a_program(tmp_path, monkeypatch) -> None:
    """Without a writable folder, a second request neither builds nor complains again."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("MAJORANT_CACHE", str(tmp_path / "file" / "cache"))
    said: list[str] = []
    for _ in range(2):
        Cache(said.append).get("thing", 1, "key", lambda: ({"x": torch.ones(2)}, {}))
    assert len(said) == 1
