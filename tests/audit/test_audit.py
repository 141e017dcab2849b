"""An audit: patches everywhere, honest intervals, runs that can be killed and resumed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from majorant.account import Account
from majorant.audit import jobs as jobs_module
from majorant.audit.advice import advice, headline
from majorant.audit.cap import Cap, choose_cap, spread
from majorant.audit.caps import CAPS
from majorant.audit.heads import AuditHead
from majorant.audit.judge import judge
from majorant.audit.patches import Patches, balanced, centres, grow
from majorant.audit.run import PreparedAudit, run, save
from majorant.audit.settings import DEFAULT_SOLVERS, AuditSettings
from majorant.audit.solvers import depth_prior, weights_of
from majorant.audit.store import finish, open_folder
from majorant.audit.summary import Audit, _weights, cortex_maps
from majorant.audit.trials import AuditTrials, noise_scale
from majorant.files.archive import write_archive
from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.registry import make

SETTINGS = AuditSettings(n=30, levels=2, solvers=("mne", "sloreta"), extent=30.0, seed=3)


def audited(head: AuditHead, cap: Cap, folder: Path, settings: AuditSettings = SETTINGS) -> Audit:
    folder.mkdir(exist_ok=True)
    return run(PreparedAudit(settings, cap, head, Account()), folder, lambda done, total: None)


@pytest.fixture(scope="module")
def found(ball: AuditHead, cap: Cap, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return audited(ball, cap, tmp_path_factory.mktemp("chunks"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"snr": (10.0, 5.0)}, "is empty"),
        ({"snr": (float("nan"), 5.0)}, "is empty"),
        ({"snr": (-5.0, 500.0)}, "beyond any recording"),
        ({"electrodes": 7}, "at least 8"),
        ({"electrodes": 20, "channels": ("Cz",)}, "choose one"),
        ({"solvers": ("slorta",)}, "did you mean 'sloreta'"),
        ({"solvers": ()}, "at least one"),
        ({"n": 3}, "cannot cover"),
        ({"extent": 0.0}, "cm²"),
        ({"goal": -1.0}, "mm"),
        ({"levels": 0}, "1 to 8"),
        ({"montage": None}, "no montage"),
        ({"montage": None, "forward": "own-fwd.fif", "age": 7.0}, "leave the age out"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_a_sentence(wrong, said) -> None:
    with pytest.raises(MajorantError, match=said):
        AuditSettings(**wrong)


def test_levels_are_whole_decibels_between_the_ends() -> None:
    assert AuditSettings().snr_levels == (-5.0, 3.0, 12.0, 20.0)
    assert AuditSettings(snr=(0.0, 1.0), levels=3).snr_levels == (0.0, 0.5, 1.0)
    assert AuditSettings(snr=(5.0, 5.0)).snr_levels == (5.0,)
    assert AuditSettings().snr_levels[AuditSettings().planning] == 12.0


def test_an_unknown_montage_or_electrode_names_the_nearest() -> None:
    from majorant.forward.template import template_head

    with pytest.raises(MajorantError, match="did you mean 'standard_1020'"):
        choose_cap(AuditSettings(montage="standart_1020"), template_head(), Account())
    wrong = AuditSettings(channels=("Cz", "Pz", "Fzz"))
    with pytest.raises(MajorantError, match=r"named Fzz \(did you mean 'Fz'"):
        choose_cap(wrong, template_head(), Account())
    with pytest.raises(MajorantError, match="has 88 places"):
        choose_cap(AuditSettings(electrodes=300), template_head(), Account())


@pytest.mark.parametrize("name", CAPS)
def test_caps_that_people_own_have_the_electrodes_that_their_names_say(name: str) -> None:
    from majorant.forward.electrodes import montage_electrodes

    cap = CAPS[name]
    found = montage_electrodes(cap.montage, cap.channels or None)
    number = re.search(r"-(\d+)$", name)
    # HydroCel nets end with the vertex, which is one more or is not.
    if number is not None:
        assert abs(len(found.ch_names) - int(number[1])) <= name.startswith("hydrocel")
    assert len(set(found.ch_names)) == len(found.ch_names)
    if cap.channels:
        assert set(found.ch_names) == set(cap.channels)


def test_a_cap_is_audited_by_its_name() -> None:
    from majorant.forward.template import template_head

    account = Account()
    cap = choose_cap(AuditSettings(montage="10-20-19"), template_head(), account)
    assert cap.n == cap.n_offered == 19
    assert set(cap.chosen) == set(CAPS["10-20-19"].channels)
    assert any("19 electrodes of the 10-20 system" in line for line in account.decisions)
    few = choose_cap(AuditSettings(montage="10-10-64", electrodes=16), template_head(), Account())
    assert set(few.chosen) < set(CAPS["10-10-64"].channels)
    with pytest.raises(MajorantError, match="did you mean 'hydrocel-128'"):
        choose_cap(AuditSettings(montage="hydrocell-128"), template_head(), Account())


def test_a_spread_subset_is_named_nested_and_farther_apart_than_chance() -> None:
    from majorant.forward.template import template_head

    account = Account()
    cap = choose_cap(AuditSettings(electrodes=32), template_head(), account)
    assert any("32 of the 88" in line and cap.chosen[-1] in line for line in account.decisions)
    assert cap.rows(16) == list(range(16))
    assert cap.sizes() == (16, 64, 128)

    def closest(rows: list[int]) -> float:
        own = cap.positions[rows]
        apart = np.linalg.norm(own[:, None] - own[None], axis=2)
        return float(apart[~np.eye(len(own), dtype=bool)].min())

    drawn = np.random.default_rng(0).permutation(88)[:32].tolist()
    assert closest(list(range(32))) > 1.5 * closest(drawn)


def test_spread_never_chooses_a_place_twice() -> None:
    places = np.random.default_rng(1).standard_normal((30, 3))
    assert sorted(spread(places, 30)) == list(range(30))


def test_every_location_comes_once_before_any_comes_twice(ball: AuditHead) -> None:
    drawn = balanced(ball.near, 650, seed=5)
    assert sorted(drawn[:300]) == sorted(drawn[300:600]) == list(range(300))
    assert len(set(drawn[600:].tolist())) == 50
    assert not np.array_equal(drawn[:300], balanced(ball.near, 300, seed=6))
    # A beginning is spread as well: no two of twenty are neighbours, as some of a draw would be.
    twenty = drawn[:20]
    apart = ball.near[np.ix_(twenty, twenty)] + np.where(np.eye(20) > 0, np.inf, 0.0)
    assert apart.min() > 30.0


def test_a_patch_has_the_area_that_was_asked_for(ball: AuditHead) -> None:
    patches = grow(ball, np.arange(40), 30.0)
    one = ball.area[0]
    assert (abs(patches.area - 30.0) <= 6.5 * one).all()
    assert patches.area.mean() == pytest.approx(30.0, abs=2 * one)
    assert np.allclose(patches.share.sum(axis=1), 1.0)
    assert patches.core[np.arange(40), np.arange(40)].all()
    assert patches.seen.mean(dim=1).abs().max() < 1e-9 * patches.seen.abs().max()
    assert np.array_equal(centres(ball, np.arange(300), 0), np.arange(300))


def test_the_judge_knows_right_wrong_and_nothing(ball: AuditHead) -> None:
    patches = grow(ball, np.array([5, 5, 5]), 30.0)
    opposite = int(np.argmax(np.linalg.norm(ball.vertices - ball.vertices[5], axis=1)))
    maps = torch.zeros(3, 300)
    maps[0, np.flatnonzero(patches.core[0])] = 0.9
    maps[0, 5] = 1.0
    maps[1, opposite] = -2.0
    right, wrong, nothing = judge(ball, patches, np.arange(3), maps)
    assert right == pytest.approx([0.0, 0.0, 0.0], abs=1e-4)
    assert wrong[0] > 155.0
    assert wrong[1] == pytest.approx(100.0)
    assert wrong[2] == pytest.approx(ball.area[0])
    blind = 1e3 * np.linalg.norm(ball.vertices - ball.vertices[5], axis=1).mean()
    assert nothing == pytest.approx([blind, 100.0, 0.0], rel=1e-6)


def test_zero_decibels_are_those_of_the_median_place(ball: AuditHead, cap: Cap) -> None:
    patches = grow(ball, np.arange(101), 30.0)
    rows = tuple(range(20))
    trials = AuditTrials(ball, patches, rows, noise_scale(patches, rows), seed=0)
    middle = int((trials.snr_db.abs()).argmin())
    assert float(trials.snr_db[middle]) == pytest.approx(0.0, abs=1e-9)
    index = torch.tensor([middle])
    (quiet, _), (loud, _) = trials.problem(index, 200.0), trials.problem(index, 0.0)
    clean = quiet.y * 10.0 ** (-200.0 / 20.0)
    drawn = loud.y - clean
    ratio = 20 * np.log10(float(clean.norm() / drawn.norm()))
    assert ratio == pytest.approx(0.0, abs=1.0)
    again, _ = trials.problem(index, 0.0)
    assert torch.equal(loud.y, again.y)


def test_solvers_are_told_which_sources_they_are_shown(ball: AuditHead) -> None:
    """A scan grows patches over neighbours, and mm-net knows its sources by number."""
    believed = Leadfield.template_small()
    patches = cast(Patches, SimpleNamespace(seen=torch.ones(2, believed.n_sensors).double()))
    trials = AuditTrials(replace(ball, believed=believed), patches, tuple(range(20)), 1.0, 0)
    operator = trials.problem(torch.tensor([0]), 10.0)[0].operator
    assert operator.geometry is not None
    assert operator.geometry.fingerprint == believed.geometry.fingerprint
    for name in DEFAULT_SOLVERS:
        make(name).require(operator)


def test_the_depth_weighting_is_limited() -> None:
    gain = torch.diag(torch.tensor([1.0, 0.5, 1e-6], dtype=torch.float64))
    prior = depth_prior(gain, 0.8)
    assert prior.max() == 1.0
    assert float(prior[2] / prior[0]) == pytest.approx(100.0**0.8)
    assert float(prior[1] / prior[0]) == pytest.approx(4.0**0.8)


def test_a_killed_run_goes_on_to_the_same_numbers(
    ball: AuditHead, cap: Cap, found: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    true_judge = jobs_module.judge

    def counted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return true_judge(*arguments)

    monkeypatch.setattr(jobs_module, "judge", counted)
    with pytest.raises(KeyboardInterrupt):
        audited(ball, cap, tmp_path)
    done = sorted(tmp_path.glob("*.safetensors"))
    assert len(done) == 1
    resumed = audited(ball, cap, tmp_path)
    total = len(calls)
    for job in found.scores:
        for solver in found.solvers:
            assert np.array_equal(found.scores[job][solver], resumed.scores[job][solver])
    # A chunk without scores, or of another shape, is made again, and nothing else is.
    for tensors in ({}, {"scores": torch.zeros(1, 2, 3)}):
        write_archive(done[0], tensors, {}, kind="audit chunk", version=1)
        again = audited(ball, cap, tmp_path)
        assert np.array_equal(again.scores["audit"]["mne"], found.scores["audit"]["mne"])
    total = len(calls)
    # So is a damaged one.
    done[0].write_bytes(done[0].read_bytes()[:-9])
    again = audited(ball, cap, tmp_path)
    assert len(calls) == total + len(SETTINGS.snr_levels)
    assert np.array_equal(again.scores["audit"]["mne"], found.scores["audit"]["mne"])


def test_a_folder_is_reopened_for_the_same_audit_only(tmp_path: Path) -> None:
    out = tmp_path / "audit"
    chunks, n = open_folder(out, {"n": 1}, overwrite=False)
    assert n == 0
    (chunks / "a.safetensors").write_bytes(b"x")
    assert open_folder(out, {"n": 1}, overwrite=False)[1] == 1
    with pytest.raises(MajorantError, match="another audit"):
        open_folder(out, {"n": 2}, overwrite=False)
    assert open_folder(out, {"n": 2}, overwrite=True)[1] == 0
    finish(out, {"summary.json": json.dumps({"kind": "audit", "headline": "", "version": "0"})})
    assert [path.name for path in out.iterdir()] == ["summary.json"]
    with pytest.raises(MajorantError, match="finished audit"):
        open_folder(out, {"n": 2}, overwrite=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(MajorantError, match="no results of Majorant"):
        open_folder(tmp_path / "other", {"n": 2}, overwrite=True)


def test_a_run_does_not_go_on_with_other_weights() -> None:
    assert weights_of("mm-net") != weights_of("unfolded-sbl")
    assert len(weights_of("mm-net")) == 64
    assert weights_of("sloreta") == ""


def test_intervals_hold_the_mean_and_shares_are_never_certain(found: Audit) -> None:
    scores = found.values("sloreta")
    error = found.estimate(scores[:, 0])
    assert error.low < error.mean < error.high
    assert error.mean == pytest.approx(scores[:, 0].mean())
    sure = found.share(np.zeros(30))
    assert sure.mean == 100.0
    assert sure.low == pytest.approx(88.6, abs=0.1)
    same = found.against("mne", "mne")
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0)
    assert not same.clear


def test_less_noise_means_less_error(found: Audit) -> None:
    for solver in found.solvers:
        first, last = found.curve(solver, 0)
        assert last.mean < first.mean


def test_maps_stay_within_the_scores_and_around_their_means(found: Audit) -> None:
    maps = cortex_maps(found, "sloreta")
    assert maps.shape == (2, 3, 3, 300)
    scores = found.scores["audit"]["sloreta"]
    mean, low, high = maps[:, :, 0], maps[:, :, 1], maps[:, :, 2]
    assert (mean >= scores.min(axis=1)[..., None] - 1e-9).all()
    assert (mean <= scores.max(axis=1)[..., None] + 1e-9).all()
    assert ((low <= mean + 1e-3) & (mean <= high + 1e-3)).mean() > 0.97


def test_maps_say_something_where_few_patches_can_be_reached() -> None:
    near = np.full((3, 8), np.inf)
    near[0] = np.arange(8.0)
    near[1, :2] = [5.0, 50.0]
    weights = _weights(near)
    assert np.isfinite(weights).all()
    assert weights[0, 0] > weights[0, 7] > 0
    assert weights[1, 0] > weights[1, 1] > 0
    assert (weights[1, 2:] == 0).all()
    assert (weights[2] == 1).all()


def test_a_solver_that_cannot_be_used_is_left_out_and_said(ball: AuditHead, cap: Cap) -> None:
    prepared = PreparedAudit(replace(SETTINGS, solvers=("mne", "mm-net")), cap, ball, Account())
    assert prepared.solvers == ("mne",)
    assert "994 regions" in prepared.left_out["mm-net"]
    with pytest.raises(MajorantError, match="no solver is left"):
        PreparedAudit(replace(SETTINGS, solvers=("mm-net",)), cap, ball, Account())


def test_the_page_says_its_numbers_and_runs_nothing(found: Audit, tmp_path: Path) -> None:
    chunks, _ = open_folder(tmp_path / "out", {}, overwrite=False)
    summary = save(found, chunks.parent, "majorant audit '<script>'")
    names = sorted(path.name for path in chunks.parent.iterdir())
    assert names == sorted(summary["files"])
    page = (chunks.parent / "audit.html").read_text("utf-8")
    assert "<script" not in page
    assert "<b>odd</b>" not in page
    assert headline(found)[0].split(",")[0] in page
    assert f"seed {SETTINGS.seed}" in page
    assert all(name in page for name in found.cap.chosen)
    best = found.ranked()[0]
    error = found.estimate(found.values(best)[:, 0])
    assert f"{error.mean:.0f}\u202fmm" in page
    assert (chunks.parent / "maps.png").read_bytes().startswith(b"\x89PNG")
    rows = (chunks.parent / "maps.csv").read_text().splitlines()
    assert len(rows) == 1 + 300 * 2 * 2
    kept = json.loads((chunks.parent / "summary.json").read_text("utf-8"))
    assert kept["levels"][0]["solvers"]["mne"]["error"]["mean"] == pytest.approx(
        found.values("mne", level=0)[:, 0].mean()
    )
    assert [a["what"] for a in kept["advice"]] == [a.what for a in advice(found)]


@pytest.mark.parametrize(("gain", "says"), [(0.0, "falls up to there"), (8.0, "still falls")])
def test_more_trials_are_not_both_advised_and_advised_against(
    found: Audit, gain: float, says: str
) -> None:
    assert found.level == SETTINGS.snr_levels[-1]
    scores = {job: dict(own) for job, own in found.scores.items()}
    for solver in SETTINGS.solvers:
        audit = scores["audit"][solver].copy()
        audit[:-1] = audit[-1] + np.array([30.0, 0.0, 0.0])
        scores["audit"][solver] = audit
        for job in set(scores) - {"audit"}:
            same = audit[-1:, : scores[job][solver].shape[1]]
            scores[job][solver] = same - np.array([gain, 0.0, 0.0])
    given = advice(replace(found, scores=scores))
    (enough,) = [entry for entry in given if entry.what.startswith("Aim for")]
    against = any("will help much" in entry.what or "not help" in entry.what for entry in given)
    assert says in enough.why
    assert against == (gain == 0.0)


def shifted(found: Audit, job: str, gain: np.ndarray) -> Audit:
    """The same audit with another gain of more trials or electrodes for every patch, mm."""
    scores = {key: dict(own) for key, own in found.scores.items()}
    for solver in SETTINGS.solvers:
        same = found.scores["audit"][solver][-1:, : scores[job][solver].shape[1]]
        shift = np.resize(gain, same.shape[1])
        scores[job][solver] = same - np.array([1.0, 0.0, 0.0]) * shift[:, None]
    return replace(found, scores=scores)


def test_nothing_is_advised_where_the_interval_holds_nothing_to_advise(found: Audit) -> None:
    """A gain of -60 to 60 mm on a few patches is neither a reason for trials nor against them."""
    jobs = [job for job in found.scores if job != "audit"]
    unsure = found
    for job in jobs:
        unsure = shifted(unsure, job, np.array([60.0, -60.0, 55.0]))
    said = [entry.what for entry in advice(unsure)]
    for about in (
        "More trials",
        "Average more",
        "Take more",
        "Neither",
        "rather than",
        "More than",
    ):
        assert not any(about in what for what in said)
    sure = found
    for job in jobs:
        sure = shifted(sure, job, np.array([0.0]))
    assert any("Neither" in entry.what or "not help" in entry.what for entry in advice(sure))


def test_solvers_that_cannot_be_told_apart_have_no_difference_to_read(found: Audit) -> None:
    scores = {job: dict(own) for job, own in found.scores.items()}
    sign = np.resize([3.0, -3.0], scores["audit"]["mne"].shape[1])
    for own in scores.values():
        n = own["mne"].shape[1]
        own["mne"] = own["sloreta"] + np.array([1.0, 0.0, 0.0]) * sign[:n, None]
    (first, *_) = advice(replace(found, scores=scores))
    assert " or " in first.what
    assert "farther" not in first.why
    assert "either way" in first.why


def test_no_solver_is_advised_where_their_difference_may_be_anything(found: Audit) -> None:
    scores = {job: dict(own) for job, own in found.scores.items()}
    sign = np.resize([60.0, -60.0, 55.0], scores["audit"]["mne"].shape[1])
    for own in scores.values():
        shift = np.array([1.0, 0.0, 0.0]) * sign[: own["mne"].shape[1], None]
        own["mne"] = own["sloreta"] + shift
    said = [entry.what for entry in advice(replace(found, scores=scores))]
    assert not any(what.startswith("To find where") for what in said)


def test_advice_follows_the_numbers(found: Audit) -> None:
    """A solver made better by 30 mm everywhere is recommended alone; an equal one is not."""
    scores = {job: dict(own) for job, own in found.scores.items()}
    for own in scores.values():
        own["mne"] = own["sloreta"] + np.array([30.0, 0.0, 0.0])
    clear = replace(found, scores=scores)
    assert advice(clear)[0].what == "To find where, use sLORETA."
    assert "Do not read the extent" in advice(clear)[1].what
    exact = {job: {s: v * [1.0, 0.0, 0.0] for s, v in own.items()} for job, own in scores.items()}
    assert advice(replace(found, scores=exact))[1].what.startswith("To see how far")
    nothing = {
        job: {s: v * 0 + [0, 100.0, 0] for s, v in own.items()} for job, own in scores.items()
    }
    assert "Do not read the extent" in advice(replace(found, scores=nothing))[1].what
    for own in scores.values():
        own["mne"] = own["sloreta"]
    assert " or " in advice(replace(found, scores=scores))[0].what


def test_both_heads_of_a_child_have_the_skull_of_its_age(
    cap: Cap, monkeypatch: pytest.MonkeyPatch
) -> None:
    from majorant.audit import heads
    from majorant.forward.ages import head_at
    from majorant.forward.template import template_head
    from majorant.head.template import head_scale

    asked: list[tuple[float, float]] = []

    def made(layers: tuple[float, ...], progress: object, *, thickness: float) -> object:
        asked.append((layers[1], thickness))
        return template_head()

    surfaces = heads.template_surfaces()
    n = 2 * surfaces.pial.shape[1]
    faces = np.concatenate([surfaces.faces[0], surfaces.faces[1] + n // 2]).astype(np.int64)
    bare = Leadfield(
        gain=torch.ones(2, n, dtype=torch.float64),
        n_orient=1,
        positions=torch.from_numpy(surfaces.pial.reshape(-1, 3)).double(),
        normals=torch.from_numpy(surfaces.normals.reshape(-1, 3)),
        edges=heads.mesh_edges(torch.from_numpy(faces)),
        ch_names=("a", "b"),
        hemisphere=torch.arange(2).repeat_interleave(n // 2),
        vertices=torch.arange(n // 2).repeat(2),
    )
    monkeypatch.setattr(heads, "template_head", made)
    monkeypatch.setattr(heads, "_seen", lambda *parts: bare)
    found = heads.template_heads(cap, differ=True, seed=0, head=template_head(), age=5.0)
    child = head_at(5.0)
    thickness = child.share / head_scale(child.circumference)
    assert asked[0] == (child.skull, thickness)
    assert asked[1] == (pytest.approx(child.skull * 0.0041 / 0.006), thickness)
    assert f"not {child.skull:.2g}" in found.differs
