"""A planted effect is found where it is, a null effect at the nominal rate; files are read back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mne
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.stats import ttest_1samp

from majorant.atlas.gyri import gyri
from majorant.bids.study import KIND
from majorant.cli import app
from majorant.group.load import StudyEstimates, load_study
from majorant.group.morph import Morphs, write_spheres
from majorant.group.run import GroupResult, analyse
from majorant.group.statistics import adjacency, clusters, effects, t_values
from majorant.group.write import save_group
from majorant.problem import MajorantError

N, USED = 12, np.arange(642)
TIMES = 0.01 * np.arange(-4, 8)


def planted() -> np.ndarray:
    """Rows of the left superior temporal gyrus."""
    return np.flatnonzero(gyri().tables[0][USED] == gyri().names.index("superior temporal gyrus"))


def study(seed: int, effect: float, conditions: tuple[str, ...] = ("face", "house")) -> Any:
    """Every subject has a level of its own; the first condition is larger in one gyrus, late."""
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((N, len(conditions), len(TIMES), 2 * len(USED)))
    data += 5 + rng.standard_normal((N, 1, 1, 1))
    data[np.ix_(range(N), [0], range(7, 11), planted())] += effect
    return StudyEstimates(
        tuple(f"{k:02d}" for k in range(N)), conditions, data, TIMES, (USED, USED), "dSPM", "dspm"
    )


@pytest.fixture(scope="module")
def found() -> GroupResult:
    return analyse(study(0, 2.5), gyri(), permutations=200)


def test_a_planted_effect_is_found_where_and_when_it_is(found: GroupResult) -> None:
    best = found.rows()[0]
    assert best["p"] <= 0.01
    assert best["peak_region"] == "left superior temporal gyrus"
    assert 0.03 <= best["peak_s"] <= 0.06
    assert best["mass"] > 0
    inside = np.isin(planted(), found.clusters[0].vertices)
    assert inside.mean() > 0.9
    assert found.effects[0].region == "left superior temporal gyrus"
    assert found.effects[0].q < 0.05
    assert "superior temporal gyrus" in found.headline


def test_the_direction_of_the_contrast_is_its_sign() -> None:
    both = study(0, 2.5)
    swapped = StudyEstimates(
        both.subjects, both.conditions[::-1], both.data[:, ::-1], both.times, both.vertices,
        both.unit, both.solver,
    )  # fmt: skip
    turned = analyse(swapped, gyri(), permutations=200)
    assert turned.rows()[0]["mass"] < 0
    assert turned.effects[0].d < 0


def test_one_condition_is_tested_against_its_own_baseline() -> None:
    alone = study(1, 2.5, ("face",))
    result = analyse(alone, gyri(), permutations=200)
    best = result.rows()[0]
    assert best["peak_region"] == "left superior temporal gyrus"
    assert 0.03 <= best["peak_s"] <= 0.06
    late = StudyEstimates(
        alone.subjects, ("face",), alone.data[:, :, 4:], TIMES[4:], (USED, USED), "dSPM", "dspm"
    )
    with pytest.raises(MajorantError, match="none before 0 s"):
        analyse(late, gyri())


def test_a_null_effect_is_called_one_at_the_nominal_rate() -> None:
    """40 places in a ring; an uncorrected test would find something in nearly every repetition."""
    ring = csr_array(np.roll(np.eye(40), 1, axis=1) + np.roll(np.eye(40), -1, axis=1))
    rng, repetitions, hits, naive = np.random.default_rng(5), 40, 0, 0
    for k in range(repetitions):
        null = rng.standard_normal((8, 4, 40))
        found = clusters(null, ring, level=0.05, permutations=100, seed=k)
        hits += bool(found) and found[0].p < 0.05
        naive += bool((ttest_1samp(null, 0).pvalue < 0.05).any())
    # Of 40 at a rate of 0.05, more than 7 have a chance below 1 in 1,000.
    assert hits <= 7
    assert naive > 30


def test_seed_and_subjects_order_do_what_they_should(found: GroupResult) -> None:
    again = analyse(study(0, 2.5), gyri(), permutations=200)
    assert [row["p"] for row in again.rows()] == [row["p"] for row in found.rows()]
    order = np.random.default_rng(0).permutation(N)
    assert np.allclose(t_values(found.difference[order]), t_values(found.difference))


def test_effects_are_students_with_an_interval_that_covers() -> None:
    rng, n, truth, inside = np.random.default_rng(2), 12, 0.8, 0
    for _ in range(100):
        values = rng.standard_normal((n, 1)) + truth
        one = effects(values, ["here"])[0]
        expected = ttest_1samp(values[:, 0], 0)
        assert one.t == pytest.approx(expected.statistic)
        assert one.p == pytest.approx(expected.pvalue)
        assert one.low < one.d < one.high
        inside += one.low <= truth <= one.high
    # Of 100 at 95 %: fewer than 87 have a chance below 1 in 1,000.
    assert inside >= 87


def test_neighbours_are_those_of_the_mesh() -> None:
    found = adjacency((USED, USED))
    degree = np.asarray(found.sum(axis=1)).ravel()
    assert found.shape == (1284, 1284)
    assert (found != found.T).nnz == 0
    assert found[:642, 642:].nnz == 0
    # An icosahedral mesh: twelve vertices of five neighbours, all others of six.
    assert np.median(degree) == 6
    assert (degree >= 5).all()


def write_derivatives(
    folder: Path,
    both: StudyEstimates,
    plan: str = "one",
    heads: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    for i, subject in enumerate(both.subjects):
        place = folder / f"sub-{subject}" / "eeg"
        place.mkdir(parents=True)
        key, entries, files = f"sub-{subject}_task-look", [], []
        for j, label in enumerate(both.conditions):
            stem = f"{key}_desc-{label}"
            stc = mne.SourceEstimate(
                both.data[i, j].T, list(both.vertices), TIMES[0], 0.01, subject="fsaverage"
            )
            stc.save(place / f"{stem}_estimate", overwrite=True, verbose="error")
            head = heads.get(subject, "fsaverage")
            summary = {"solver": {"name": "dspm"}, "sources": {"subject": head}}
            (place / f"{stem}_summary.json").write_text(json.dumps(summary))
            (place / f"{stem}_report.html").write_text("page")
            files += [f"{stem}_{end}" for end in ("summary.json", "report.html")]
            entries.append({
                "label": label, "report": f"{stem}_report.html", "nave": 40, "peaks": [],
                "unit": "dSPM", "explained": 0.5, "certificate": {}, "cautions": [],
            })  # fmt: skip
        record = {"kind": KIND, "key": key, "plan": plan, "input": "x", "files": files,
                  "estimates": entries}  # fmt: skip
        (place / f"{key}_estimates.json").write_text(json.dumps(record))
    return folder


def test_derivatives_are_read_and_results_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = study(0, 2.5)
    folder = write_derivatives(tmp_path / "majorant", both)
    read = load_study(folder, ("face", "house"))
    assert read.subjects == both.subjects
    assert np.allclose(read.data, both.data, rtol=1e-5)
    assert np.allclose(read.times, TIMES, atol=1e-6)
    out = tmp_path / "out"
    command = ["group", folder, "--condition", "face", "--condition", "house", "--out", out,
               "--permutations", "100", "--json", "-"]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        app([str(word) for word in command])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["clusters"][0]["peak_region"] == "left superior temporal gyrus"
    assert json.loads((out / "summary.json").read_text())["clusters"] == told["clusters"]
    mean = mne.read_source_estimate(out / "difference")
    assert np.allclose(mean.data.T, (both.data[:, 0] - both.data[:, 1]).mean(0), atol=1e-4)
    values = pd.read_csv(out / "values.csv", dtype={"subject": str})
    assert len(values) == N * 2 * len(gyri().labelled)
    one = values.query("region == 'left superior temporal gyrus' and condition == 'face'")
    assert np.allclose(one["value"], both.data[:, 0][:, :, planted()].mean((1, 2)), rtol=1e-4)
    assert len(pd.read_csv(out / "effects.csv")) == len(gyri().labelled)
    assert pd.read_csv(out / "clusters.csv")["p"].iloc[0] == told["clusters"][0]["p"]
    page = (out / "group.html").read_text("utf-8")
    assert "face against house" in page
    assert "t over subjects" in page
    assert len(page) < 8_000_000
    assert page.count('class="explorer"') == 3
    assert "standard error over subjects" in page
    (surface,) = re.findall(r'id="surface">(.*?)</script>', page)
    assert json.loads(surface)["n"] == 10242


def test_chunks_of_flips_are_one_set_wherever_they_are_made() -> None:
    """Made elsewhere, in another order, they give the same p; in one chunk, nearly the same."""
    ring = csr_array(np.roll(np.eye(40), 1, axis=1) + np.roll(np.eye(40), -1, axis=1))
    data = np.random.default_rng(3).standard_normal((N, 4, 40))
    data[:, 1:3, 10:14] += 0.9
    calls: list[int] = []

    def backwards(function: Any, arguments: Any) -> list[Any]:
        calls.append(len(arguments))
        return [function(*one) for one in arguments[::-1]][::-1]

    here = clusters(data, ring, permutations=800)
    there = clusters(data, ring, permutations=800, mapped=backwards)
    assert calls == [4]
    assert [(one.p, one.mass) for one in here] == [(one.p, one.mass) for one in there]
    assert all(one.p >= 1 / 800 for one in here)
    threshold = 3.1058  # t of 11 degrees of freedom at a two-sided p of 0.01
    _, _, chance, _ = mne.stats.spatio_temporal_cluster_1samp_test(
        data, threshold, 800, adjacency=ring.tocoo(), seed=1, out_type="indices", verbose="error"
    )
    assert len(chance) == len(here)
    assert np.sort(chance)[0] == pytest.approx(here[0].p, abs=0.02)


def test_estimates_on_a_cortex_of_their_own_are_carried_to_the_template(tmp_path: Path) -> None:
    """A subject whose cortex is the template's, under another name: nothing may change."""
    both = study(0, 2.5)
    dense = np.random.default_rng(1).standard_normal((2 * 2562, len(TIMES)))
    stc = mne.SourceEstimate(dense, [np.arange(2562)] * 2, TIMES[0], 0.01, subject="ann")
    with pytest.raises(MajorantError, match="give --subjects-dir"):
        Morphs(None)(stc, "ann")
    folder = tmp_path / "subjects" / "ann" / "surf"
    with pytest.raises(MajorantError, match=r"holds no lh\.sphere\.reg"):
        Morphs(str(tmp_path / "subjects"))(stc, "ann")
    write_spheres(folder)
    found = Morphs(str(tmp_path / "subjects"))(stc, "ann")
    assert [len(own) for own in found.vertices] == [2562, 2562]
    assert np.corrcoef(found.data.ravel(), dense.ravel())[0, 1] > 0.999
    # A whole study: one subject on a cortex of its own, which is said.
    derivatives = write_derivatives(tmp_path / "majorant", wide(both), heads={"03": "ann"})
    read = load_study(derivatives, ("face", "house"), subjects_dir=str(tmp_path / "subjects"))
    assert read.morphed == ("03",)
    assert read.data.shape[-1] == 2 * 2562
    with pytest.raises(MajorantError, match="own cortex"):
        load_study(derivatives, ("face",), subjects_dir=str(tmp_path / "nobody"))


def wide(both: StudyEstimates) -> StudyEstimates:
    """The first four subjects on ico4."""
    data = np.repeat(both.data[:4, :, :, :1], 2 * 2562, axis=3)
    used = np.arange(2562)
    return StudyEstimates(
        both.subjects[:4], both.conditions, data, TIMES, (used, used), both.unit, both.solver
    )


def test_what_does_not_fit_together_is_said(tmp_path: Path) -> None:
    both = study(0, 0.0)
    folder = write_derivatives(tmp_path / "majorant", both)
    with pytest.raises(MajorantError, match=r"no recording has the condition 'fase' \(did you"):
        load_study(folder, ("fase",))
    with pytest.raises(MajorantError, match="holds no estimates"):
        load_study(tmp_path / "nowhere")
    few = write_derivatives(
        tmp_path / "few",
        StudyEstimates(
            ("1", "2"), both.conditions, both.data[:2], TIMES, both.vertices, "dSPM", "d"
        ),
    )
    with pytest.raises(MajorantError, match="takes 4 or more"):
        load_study(few)
    record = next(folder.glob("sub-03/eeg/*_estimates.json"))
    record.write_text(record.read_text().replace('"one"', '"other"'))
    with pytest.raises(MajorantError, match="different settings"):
        load_study(folder)
    with pytest.raises(MajorantError, match="name the two"):
        analyse(study(0, 0.0, ("a", "b", "c")), gyri())
    with pytest.raises(MajorantError, match="expected a level"):
        analyse(both, gyri(), level=2.0)
    result = analyse(both, gyri(), permutations=100)
    save_group(result, tmp_path / "out")
    with pytest.raises(MajorantError, match="not empty"):
        save_group(result, tmp_path / "out")
    save_group(result, tmp_path / "out", overwrite=True)
