"""A lead field of another tool at the user's door: carried over, fitted, imaged."""

from __future__ import annotations

import json
from pathlib import Path

import mne
import numpy as np
import pytest
import torch

from majorant.cli import main
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.leadfield import Leadfield
from majorant.forward.template import template_parcels, template_surfaces
from majorant.head.imported import regions_by_position
from majorant.head.model import read_forward
from majorant.head.registration import MEMBERS
from majorant.imager.imager import SourceImager
from majorant.problem import MajorantError


@pytest.fixture(scope="module")
def dense() -> Leadfield:
    """The packaged regions as one column on each of their vertices, in MNI152."""
    small, parcels = Leadfield.template_small(), template_parcels()
    side, vertex = (parcels >= 0).nonzero(as_tuple=True)
    places = template_surfaces().mid[side.numpy(), vertex.numpy()]
    normals = template_surfaces().normals[side.numpy(), vertex.numpy()]
    return Leadfield.from_arrays(
        small.gain[:, parcels[side, vertex]] / MEMBERS,
        positions=1e-3 * mni305_to_mni152(places),
        normals=normals,
        ch_names=small.ch_names,
        subject="foreign",
    )


@pytest.fixture(scope="module")
def evoked() -> mne.EvokedArray:
    """Noise at 30 electrodes."""
    names = list(Leadfield.template_small().ch_names[::3])
    info = mne.create_info(names, 100.0, "eeg", verbose="error")
    info.set_montage("standard_1020", match_case=False, on_missing="ignore", verbose="error")
    data = 1e-6 * np.random.default_rng(0).standard_normal((len(names), 20))
    return mne.EvokedArray(data, info, verbose="error").set_eeg_reference(projection=True)


def test_regions_by_position_are_the_templates(dense) -> None:
    regions, sentence = regions_by_position(dense)
    small = Leadfield.template_small()
    scale = float(small.gain.abs().max())
    torch.testing.assert_close(regions.gain, small.gain, atol=1e-9 * scale, rtol=0)
    assert regions.geometry.fingerprint == small.geometry.fingerprint
    assert "belong to one" in sentence


def test_one_column_per_region_of_another_atlas_is_carried_over() -> None:
    """Each third of our regions stands for an atlas of its own, told by unit dipoles."""
    small, some = Leadfield.template_small(), slice(None, None, 3)
    coarse = Leadfield.from_arrays(
        small.gain[:, some] / MEMBERS,
        positions=1e-3 * mni305_to_mni152(small.positions[some].numpy()),
        normals=small.normals[some],
        ch_names=small.ch_names,
    )
    regions, sentence = regions_by_position(coarse)
    assert "regions without a source took the nearest one" in sentence
    alike = torch.cosine_similarity(regions.gain, small.gain, dim=0)
    assert float(alike[some].median()) > 0.999
    assert float(alike.median()) > 0.8
    size = regions.gain.norm(dim=0) / small.gain.norm(dim=0)
    assert 0.9 < float(size.median()) < 1.1


def test_a_cortex_elsewhere_has_no_regions(dense) -> None:
    away = Leadfield.from_arrays(
        dense.gain, positions=dense.positions + 0.08, normals=dense.normals
    )
    with pytest.raises(MajorantError, match="not in MNI space"):
        regions_by_position(away)
    free = Leadfield.from_arrays(torch.ones(3, 9), positions=torch.rand(3, 3), n_orient=3)
    with pytest.raises(MajorantError, match="neither normals nor a mesh"):
        regions_by_position(free)


def test_an_imported_file_is_imaged(dense, evoked, tmp_path: Path, capsys) -> None:
    """File, command, forward, estimate: as with the packaged lead field itself."""
    source, made = tmp_path / "nodes.npz", tmp_path / "mine.safetensors"
    np.savez(
        source,
        gain=dense.gain.numpy(),
        positions=1e3 * dense.positions.numpy(),
        normals=dense.normals.numpy(),
        ch_names=np.array(dense.ch_names),
    )
    arguments = ["head", "--import", str(source), "--regions", "--out", str(made), "--json", "-"]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["sources"], told["layout"]) == ("regions", 994, "plain arrays")
    assert any("Positions were taken to be in mm" in note for note in told["notes"])
    lead = read_forward(made)
    ours = SourceImager("sloreta").fit(evoked.info, lead)
    assert ours.leadfield_.kind == "regions"
    small = SourceImager("sloreta").fit(evoked.info, Leadfield.template_small())
    np.testing.assert_allclose(
        ours.apply(evoked).data, small.apply(evoked).data, rtol=1e-4, atol=1e-6
    )


def test_single_sources_are_imaged_and_refused_to_solvers_of_regions(dense, evoked) -> None:
    few = dense.subset(torch.arange(0, dense.n_locations, 40))
    stc = SourceImager("sloreta").fit(evoked.info, few).apply(evoked)
    assert stc.data.shape == (few.n_locations, 20)
    with pytest.raises(MajorantError, match="head --import FILE --regions"):
        SourceImager("mm-net").fit(evoked.info, few)
    named = Leadfield.from_arrays(few.gain, positions=few.positions)
    with pytest.raises(MajorantError, match="0 electrodes in common"):
        SourceImager("sloreta").fit(evoked.info, named)
