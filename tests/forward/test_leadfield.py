"""The lead field: algebra of its columns, its neighbourhood, and its file."""

from __future__ import annotations

import json
import struct

import pytest
import torch

from majorant.forward import Leadfield, average_reference
from majorant.forward.graph import UNREACHABLE
from majorant.problem import DamagedFile, MajorantError


def small(n_orient: int = 1) -> Leadfield:
    """Five electrodes over two octahedra, one per hemisphere."""
    draw = torch.Generator().manual_seed(1)
    corners = torch.tensor(
        [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=torch.float64
    )
    one = [[0, 1], [1, 2], [2, 3], [3, 0]] + [[i, j] for i in range(4) for j in (4, 5)]
    return Leadfield.from_arrays(
        torch.randn(5, 12 * n_orient, generator=draw, dtype=torch.float64),
        positions=torch.cat([corners - 2, corners + 2]) * 0.01,
        normals=torch.cat([corners, corners]),
        n_orient=n_orient,
        edges=torch.tensor(one + [[i + 6, j + 6] for i, j in one]),
        ch_names=["Fp1", "Fp2", "Cz", "O1", "O2"],
        hemisphere=torch.tensor([0] * 6 + [1] * 6),
        vertices=torch.arange(6).repeat(2),
    )


def test_average_reference_is_an_isometry_on_referenced_data() -> None:
    """H H' = I, H 1 = 0, and |H y| = |y - mean(y)|."""
    h = average_reference(7)
    y = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(h @ h.T, torch.eye(6, dtype=torch.float64))
    assert (h @ torch.ones(7, dtype=torch.float64)).abs().max() < 1e-14
    torch.testing.assert_close((h @ y).norm(dim=0), (y - y.mean(0)).norm(dim=0))
    with pytest.raises(MajorantError, match="at least 2"):
        average_reference(1)


def test_fixed_columns_are_the_free_columns_along_the_normal() -> None:
    """Column s of the fixed lead field is sum_k L[s, k] n[s, k]."""
    free = small(3)
    fixed = free.fixed()
    expected = (free.gain.reshape(5, 12, 3) * free.normals).sum(-1)
    torch.testing.assert_close(fixed.gain, expected)
    assert fixed.n_orient == 1
    assert fixed.fixed() is fixed


def test_a_region_is_the_sum_of_its_members_and_sits_on_one_of_them() -> None:
    """Every region column equals the sum of the fixed columns of its vertices."""
    parcels = torch.tensor([[0, 0, 1, -1, 0, 1], [2, 2, 3, 3, 2, -1]])
    free = small(3)
    regions = free.regions(parcels)
    fixed = free.fixed()
    labels = parcels.flatten()
    for region in range(4):
        members = (labels == region).nonzero().flatten()
        torch.testing.assert_close(regions.gain[:, region], fixed.gain[:, members].sum(1))
        assert regions.vertices[region] in free.vertices[members]
    assert regions.kind == "regions"
    assert regions.edges.tolist() == [[0, 1], [2, 3]]
    assert regions.hemisphere.tolist() == [0, 0, 1, 1]
    with pytest.raises(MajorantError, match=r"regions \[4\] have no member"):
        free.subset(range(11)).regions(torch.tensor([[0, 0, 1, 1, 0, 1], [2, 2, 3, 3, 2, 4]]))


def test_picking_follows_names_and_says_which_are_missing() -> None:
    """Names match without regard to case; the missing are named."""
    picked = small().pick(["O1", "FP1"])
    torch.testing.assert_close(picked.gain, small().gain[[3, 0]])
    assert picked.ch_names == ("O1", "FP1")
    with pytest.raises(MajorantError, match="no channel named X1, X2"):
        small().pick(["Cz", "X1", "X2"])


def test_a_reference_acts_on_rows_only() -> None:
    """The same matrix that is applied to the data is applied to the gain."""
    h = average_reference(5)
    moved = small().transformed(h)
    torch.testing.assert_close(moved.gain, h @ small().gain)
    assert moved.n_sensors == 4
    common = small()
    shifted = Leadfield.from_arrays(common.gain + torch.linspace(-1, 1, 12, dtype=torch.float64))
    torch.testing.assert_close(h @ shifted.gain, h @ common.gain)
    with pytest.raises(MajorantError, match=r"expected \(rows, 5\)"):
        small().transformed(torch.eye(4))


def test_subsets_keep_edges_that_join_two_kept_locations() -> None:
    """Columns, geometry and edges follow the index, groups of three together."""
    lead = small(3).subset([7, 6, 0])
    torch.testing.assert_close(lead.gain[:, :3], small(3).gain[:, 21:24])
    assert lead.edges.tolist() == [[0, 1]]
    assert lead.hemisphere.tolist() == [1, 1, 0]
    for bad in ([], [0, 0], [12]):
        with pytest.raises(MajorantError):
            small().subset(bad)


def test_hops_and_metric_are_distances() -> None:
    """Symmetric, zero only on the diagonal, triangle inequality; rows on demand agree."""
    lead = small()
    hops, metric = lead.hops(), lead.metric()
    for d in (hops.to(torch.float64), metric):
        torch.testing.assert_close(d, d.T)
        assert (d.diagonal() == 0).all()
        assert (d[:, None, :] <= d[:, :, None] + d[None, :, :] + 1e-12).all()
    assert hops[0, 2] == 2
    assert hops[0, 6] == UNREACHABLE
    assert torch.isinf(metric[0, 6])
    assert abs(float(metric[0, 1]) - 0.01 * 2**0.5) < 1e-12
    assert torch.equal(lead.hops([3, 8]), hops[[3, 8]])
    assert torch.equal(lead.metric([3, 8]), metric[[3, 8]])
    assert lead.hops() is hops


def test_distances_of_very_large_spaces_are_asked_for_row_by_row() -> None:
    """All pairs of many locations are refused; some rows are not."""
    lead = Leadfield.from_arrays(torch.ones(2, 7000), edges=torch.tensor([[0, 1]]))
    with pytest.raises(MajorantError, match="sources"):
        lead.hops()
    assert lead.hops([0])[0, 1] == 1


def test_a_file_gives_back_what_was_saved(tmp_path) -> None:
    """Exactly in float64; with the same fingerprint in float32."""
    lead = small(3).fixed().regions(torch.tensor([[0, 0, 1, -1, 0, 1], [2, 2, 3, 3, 2, -1]]))
    again = Leadfield.load(lead.save(tmp_path / "a.safetensors"))
    for name in ("gain", "positions", "normals", "edges", "hemisphere", "vertices", "parcels"):
        assert torch.equal(getattr(again, name), getattr(lead, name)), name
    assert (again.ch_names, again.kind, again.subject) == (lead.ch_names, lead.kind, lead.subject)
    short = Leadfield.load(lead.save(tmp_path / "b.safetensors", dtype=torch.float32))
    assert short.fingerprint() == again.fingerprint() == lead.fingerprint()
    assert lead.fingerprint() != small().fingerprint()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def corruptions(data: bytes) -> dict[str, bytes]:
    """Return damaged copies of a file."""
    n_header = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + n_header])
    shape = dict(header)
    shape["gain"] = {**header["gain"], "shape": [2**31 - 1, 2**31 - 1]}
    return {
        "empty": b"",
        "tiny": data[:5],
        "truncated": data[:-9],
        "longer": data + b"\0" * 8,
        "header only": data[: 8 + n_header],
        "huge header": struct.pack("<Q", 2**62) + data[8:],
        "wild shape": repack(shape, data[8 + n_header :]),
        "another type": repack(
            {**header, "gain": {**header["gain"], "dtype": "BF16"}}, data[8 + n_header :]
        ),
        "list header": repack([1, 2], data[8 + n_header :]),
        "no record": repack({**header, "__metadata__": {}}, data[8 + n_header :]),
        "deep header": struct.pack("<Q", 200_000) + b"[" * 200_000,
        "pickle": b"\x80\x04\x95" + b"\0" * 64,
    }


def repack(header: object, body: bytes) -> bytes:
    """Return a safetensors file of a header and a body."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_every_damage_is_refused_in_one_sentence(tmp_path) -> None:
    """Truncation, alteration, foreign files, absurd sizes: none is read, none is a traceback."""
    path = small().save(tmp_path / "a.safetensors")
    data = path.read_bytes()
    for name, damaged in corruptions(data).items():
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile) as error:
            Leadfield.load(path)
        assert "\n" not in str(error.value), name
    with pytest.raises(MajorantError, match="no lead field file"):
        Leadfield.load(tmp_path / "none.safetensors")


def test_no_flipped_byte_goes_unnoticed(tmp_path) -> None:
    """Any byte of the file, header or data, once altered, is refused or changes nothing."""
    lead = small()
    path = lead.save(tmp_path / "a.safetensors")
    data = path.read_bytes()
    n_header = struct.unpack("<Q", data[:8])[0]
    refused = 0
    for i in range(0, len(data), 7):
        path.write_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
        try:
            again = Leadfield.load(path)
        except DamagedFile:
            refused += 1
        else:
            assert i < 8 + n_header
            assert again.fingerprint() == lead.fingerprint()
    assert refused >= len(range(8 + n_header, len(data), 7))


def test_another_version_or_kind_is_refused_by_name(tmp_path) -> None:
    """The sentence says which version was found and which is read."""
    from majorant.files.archive import write_archive

    path = tmp_path / "a.safetensors"
    write_archive(path, {"gain": torch.ones(2, 2)}, {}, kind="leadfield", version=99)
    with pytest.raises(DamagedFile, match="version is 99"):
        Leadfield.load(path)
    write_archive(path, {"gain": torch.ones(2, 2)}, {}, kind="head", version=1)
    with pytest.raises(DamagedFile, match="holds a head"):
        Leadfield.load(path)
    write_archive(path, {"gain": torch.ones(2, 2)}, {"colour": 1}, kind="leadfield", version=1)
    with pytest.raises(DamagedFile, match="does not hold a lead field"):
        Leadfield.load(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n_orient": 3}, "expected"),
        ({"positions": torch.zeros(3, 3)}, "positions has shape"),
        ({"ch_names": ["a", "a"]}, "distinct"),
        ({"edges": torch.tensor([[0, 9]])}, "edges refers to"),
        ({"kind": "blobs"}, "kind is 'blobs'"),
        ({"positions": torch.full((4, 3), float("nan"))}, "positions holds NaN"),
    ],
)
def test_wrong_parts_are_refused(change: dict, sentence: str) -> None:
    """Shapes, names and indices are checked where a lead field is made."""
    with pytest.raises(MajorantError, match=sentence):
        Leadfield.from_arrays(torch.ones(2, 4), **change)
