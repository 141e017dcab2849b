"""Lead fields of other tools: written in their layouts, read back, and equal to MNE's."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from majorant.cli.head_import import read_names
from majorant.errors import MajorantError
from majorant.forward import template
from majorant.forward.foreign import import_leadfield
from majorant.forward.leadfield import Leadfield


@pytest.fixture(scope="module")
def own(cached) -> Leadfield:
    """MNE's forward of the template: free dipoles, 30 electrodes, 1,284 sources."""
    whole = template.template_leadfield("standard_90", space="ico3")
    return whole.pick(whole.ch_names[::3])


def blocks(lead: Leadfield) -> np.ndarray:
    """Electrodes, sources, orientations."""
    return lead.gain.reshape(lead.n_sensors, lead.n_locations, 3).numpy()


def same(found: Leadfield, own: Leadfield) -> None:
    """Equal under the average reference, in the same places."""
    a, b = (x.gain - x.gain.mean(dim=0) for x in (found.pick(own.ch_names), own))
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6 * float(b.abs().max()))
    torch.testing.assert_close(found.positions, own.positions, rtol=0, atol=1e-9)


def cell(parts: list[np.ndarray]) -> np.ndarray:
    """A MATLAB cell array."""
    out = np.empty(len(parts), dtype=object)
    out[:] = parts
    return out


def write_fieldtrip(path: Path, lead: Leadfield, unit: str = "mm", factor: float = 1.0) -> Path:
    """As ft_prepare_leadfield: one position in fifty lies outside the brain."""
    gain, scale = factor * blocks(lead), {"m": 1.0, "cm": 1e2, "mm": 1e3}[unit]
    parts, places = [gain[:, i] for i in range(lead.n_locations)], scale * lead.positions.numpy()
    outside = np.zeros((0, 0))
    struct: dict[str, object] = {
        "pos": np.concatenate([places, places[::50] * 2]),
        "leadfield": cell(parts + [outside] * len(places[::50])),
        "label": cell(list(lead.ch_names)),
        "unit": unit,
        "leadfielddimord": "{pos}_chan_ori",
    }
    # EEGLAB keeps FieldTrip's struct among its own.
    eeglab = {"EEG": {"setname": "oddball", "dipfit": {"sourcemodel": struct}}}
    content = eeglab if path.suffix == ".set" else {"sourcemodel": struct}
    scipy.io.savemat(path, content, appendmat=False)
    return path


def write_simnibs(path: Path, lead: Leadfield, reference: int = 4) -> Path:
    """As TDCSLEADFIELD: fields of currents to a reference electrode, which has no row."""
    gain = blocks(lead)
    field = -np.delete(gain - gain[reference], reference, axis=0)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("mesh_leadfield/leadfields/tdcs_leadfield", data=field)
        data.attrs["electrode_names"] = np.array(lead.ch_names, dtype=h5py.string_dtype())
        data.attrs["reference_electrode"] = lead.ch_names[reference]
        data.attrs["units"] = "V/m"
        file["mesh_leadfield/nodes/node_coord"] = 1e3 * lead.positions.numpy()
        faces = np.ones((3, 4), int) * np.array([1, 2, 3, -1])
        file["mesh_leadfield/elm/node_number_list"] = faces
    return path


def write_brainstorm(folder: Path, lead: Leadfield) -> tuple[Path, Path]:
    """As Brainstorm: two files, with an eye channel among the rows."""
    rows = np.concatenate([lead.gain.numpy(), np.full((1, lead.n_columns), np.nan)])
    head = {"Gain": rows, "GridLoc": lead.positions.numpy(), "GridOrient": lead.normals.numpy()}
    scipy.io.savemat(folder / "headmodel_surf.mat", {**head, "HeadModelType": "surface"})
    kinds = [("Name", object), ("Type", object)]
    channel = np.array([*((n, "EEG") for n in lead.ch_names), ("EOG1", "EOG")], dtype=kinds)
    scipy.io.savemat(folder / "channel.mat", {"Channel": channel})
    return folder / "headmodel_surf.mat", folder / "channel.mat"


@pytest.mark.parametrize("unit", ["m", "cm", "mm"])
def test_fieldtrip(own, tmp_path, unit) -> None:
    found = import_leadfield(write_fieldtrip(tmp_path / "lf.mat", own, unit))
    assert found.layout == "FieldTrip"
    same(found.leadfield, own)
    assert any("26 positions outside the brain" in note for note in found.notes)


def test_eeglab(own, tmp_path) -> None:
    found = import_leadfield(write_fieldtrip(tmp_path / "oddball.set", own, "mm"))
    assert found.layout == "FieldTrip"
    same(found.leadfield, own)


def test_duneuro_has_a_row_for_every_dipole(own, tmp_path) -> None:
    """Dipoles of six numbers, and a row of potentials for each: fixed orientation."""
    normals = own.normals.numpy()
    fixed = np.einsum("csk,sk->sc", blocks(own), normals)
    with h5py.File(tmp_path / "duneuro.h5", "w") as file:
        file["dipoles"] = np.concatenate([1e3 * own.positions.numpy(), normals], axis=1)
        file["leadfield"] = fixed
        file["electrode_names"] = np.array(own.ch_names, dtype=h5py.string_dtype())
    found = import_leadfield(tmp_path / "duneuro.h5").leadfield
    expected = torch.from_numpy(fixed.T)
    gain = found.pick(own.ch_names).gain
    torch.testing.assert_close(gain - gain.mean(0), expected - expected.mean(0))
    torch.testing.assert_close(found.normals, own.normals)


def test_simnibs_gets_its_reference_and_its_sign_back(own, tmp_path) -> None:
    found = import_leadfield(write_simnibs(tmp_path / "lf.hdf5", own))
    assert found.layout == "SimNIBS"
    same(found.leadfield, own)
    assert any(f"reference electrode {own.ch_names[4]} was put back" in n for n in found.notes)
    assert any(f"Potentials are against {own.ch_names[4]}" in n for n in found.notes)


def test_brainstorm_with_its_channel_file(own, tmp_path) -> None:
    head, channel = write_brainstorm(tmp_path, own)
    with pytest.raises(MajorantError, match="does not name its 31 electrodes"):
        import_leadfield(head)
    found = import_leadfield(head, ch_names=read_names(channel))
    assert found.layout == "Brainstorm"
    same(found.leadfield, own)
    torch.testing.assert_close(found.leadfield.normals, own.normals)
    assert "EOG1" not in found.leadfield.ch_names


def test_the_new_york_head(own, tmp_path) -> None:
    cortex = {
        "V_fem": 1e-3 * blocks(own),
        "vc": 1e3 * own.positions.numpy(),
        "normals": own.normals.numpy(),
        "tri": np.array([[1, 2, 3]]),
    }
    sa = {"cortex75K": cortex, "clab_electrodes": cell(list(own.ch_names))}
    scipy.io.savemat(tmp_path / "sa_nyhead.mat", {"sa": sa})
    found = import_leadfield(tmp_path / "sa_nyhead.mat")
    assert (found.layout, found.mni) == ("New York Head", True)
    same(found.leadfield, own)
    assert any("units of 1000 V/(A m)" in note for note in found.notes)


@pytest.mark.parametrize("order", ["rows", "columns", "three"])
def test_plain_arrays(own, tmp_path, order) -> None:
    gain = {"rows": own.gain.numpy(), "columns": own.gain.numpy().T, "three": blocks(own)}[order]
    path = tmp_path / "lf.npz"
    np.savez(path, leadfield=gain, pos=own.positions.numpy(), labels=np.array(own.ch_names))
    same(import_leadfield(path).leadfield, own)


def test_a_reference_that_is_said_and_no_row_is_put_back(own, tmp_path) -> None:
    path, rows = tmp_path / "lf.npz", own.gain[1:] - own.gain[:1]
    arrays = {"gain": rows.numpy(), "positions": own.positions.numpy()}
    names = np.array(own.ch_names)
    np.savez(path, **arrays, ch_names=names[1:], reference=names[0])
    same(import_leadfield(path).leadfield, own)
    np.savez(path, **arrays, ch_names=names[1:])
    found = import_leadfield(path)
    assert own.ch_names[0] not in found.leadfield.ch_names
    assert any("an electrode that is no row cannot be imaged with" in n for n in found.notes)


def test_a_wrong_unit_is_found(own, tmp_path) -> None:
    """What is said must agree with the numbers, and numbers that leave no answer are asked for."""
    path = write_fieldtrip(tmp_path / "lf.mat", own, "m", factor=1e-3)
    with pytest.raises(MajorantError, match=r"said to be in V/\(A m\)"):
        import_leadfield(path)
    same(import_leadfield(path, gain_unit="uV/(nA m)").leadfield, own)
    arrays = {"pos": own.positions.numpy(), "labels": np.array(own.ch_names)}
    np.savez(tmp_path / "odd.npz", leadfield=10**1.5 * own.gain.numpy(), **arrays)
    with pytest.raises(MajorantError, match="does not say the unit"):
        import_leadfield(tmp_path / "odd.npz")
    with pytest.raises(MajorantError, match="give --length-unit m"):
        import_leadfield(path, gain_unit="uV/(nA m)", length_unit="mm")
    with pytest.raises(MajorantError, match="no unit 'furlong'"):
        import_leadfield(path, gain_unit="furlong")


def test_a_turned_sign_is_cautioned_of(own, tmp_path) -> None:
    parts = {"pos": own.positions.numpy(), "normals": own.normals.numpy()}
    for sign, expected in ((1.0, False), (-1.0, True)):
        gain = sign * own.gain.numpy()
        np.savez(tmp_path / "lf.npz", gain=gain, ch_names=np.array(own.ch_names), **parts)
        notes = import_leadfield(tmp_path / "lf.npz").notes
        assert any("sign of the gain is turned" in note for note in notes) == expected


@pytest.mark.parametrize("name", ["none.mat", "lf.txt", "broken.mat", "other.npz", "broken.h5"])
def test_what_is_no_lead_field_is_refused_in_a_sentence(tmp_path, name) -> None:
    path = tmp_path / name
    if name == "other.npz":
        np.savez(path, a=np.zeros(3))
    elif name != "none.mat":
        path.write_bytes(b"no such thing" * 40)
    with pytest.raises(MajorantError, match=r"no file|suffix|cannot be read|no lead field"):
        import_leadfield(path)
