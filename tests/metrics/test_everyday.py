"""What is judged on the fine mesh: each figure where its value is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield
from majorant.metrics.everyday import NAMES, FineMesh, Judge, JudgedSpace, Truth
from majorant.metrics.localisation import roc_area
from majorant.metrics.peaks import list_peaks, local_maxima

SFREQ = 100.0


@pytest.fixture(scope="module")
def mesh(sphere: Leadfield) -> FineMesh:
    return FineMesh(sphere.positions.numpy(), np.arange(300) // 10)


@pytest.fixture(scope="module")
def judge(sphere: Leadfield) -> Judge:
    """A space of every third vertex of the sphere."""
    places = sphere.positions.numpy()
    few = np.arange(0, 300, 3)
    home = np.linalg.norm(places[:, None] - places[few], axis=2).argmin(axis=1)
    edges = sphere.subset(few).edges.numpy()
    return Judge(JudgedSpace(places[few], 1e3 * places[few], edges, home), SFREQ)


def _truth(mesh: FineMesh, *vertices: int) -> Truth:
    dense = np.zeros((len(vertices), 300))
    dense[np.arange(len(vertices)), list(vertices)] = 1.0
    t = np.arange(20)
    courses = np.array([np.exp(-0.5 * ((t - 6 - 7 * k) / 2.0) ** 2) for k in range(len(vertices))])
    return Truth.of(mesh, dense, courses)


def test_the_truth_itself_is_all_right(mesh: FineMesh, sphere: Leadfield) -> None:
    places = sphere.positions.numpy()
    whole = Judge(JudgedSpace(places, 1e3 * places, sphere.edges.numpy(), np.arange(300)), SFREQ)
    truth = _truth(mesh, 30, 250)
    values = np.zeros((300, 20))
    values[truth.support] = truth.field
    figures = whole.score(truth, -3.0 * values)
    assert tuple(figures) == NAMES
    wanted = {"emd": 0, "off": 0, "auc": 1, "cosine": 0, "le": 0, "found": 1, "ghosts": 0}
    for name, value in wanted.items():
        assert figures[name] == pytest.approx(value, abs=1e-6), name


def test_a_lone_wrong_location_is_as_far_off_as_it_lies(mesh: FineMesh, judge: Judge) -> None:
    truth = _truth(mesh, 30)
    values = np.zeros((100, 20))
    values[90] = truth.courses[0]
    away = 1e3 * np.linalg.norm(judge.space.positions[90] - mesh.positions[30])
    figures = judge.score(truth, values)
    assert figures["le"] == pytest.approx(away)
    assert figures["emd"] == pytest.approx(away, abs=10.0)
    assert figures["off"] == pytest.approx(away, abs=10.0)
    assert (figures["found"], figures["ghosts"]) == (0.0, 1.0)
    assert figures["cosine"] == pytest.approx(1.0)


def test_one_of_two_sources_found_and_one_ghost(mesh: FineMesh, judge: Judge) -> None:
    truth = _truth(mesh, 30, 250)
    values = np.zeros((100, 20))
    values[10] = truth.courses[0]
    values[40] = 0.9 * truth.courses[1]
    figures = judge.score(truth, values)
    assert (figures["found"], figures["ghosts"]) == (0.5, 0.5)
    values[40] *= 0.1
    assert judge.score(truth, values)["ghosts"] == 0.0


def test_the_area_is_that_over_all_vertices(mesh: FineMesh, judge: Judge) -> None:
    truth = _truth(mesh, 30, 31, 250)
    map_ = np.random.default_rng(0).integers(0, 9, 100).astype(float)
    positive = torch.from_numpy(truth.map > 0.1 * truth.map.max())[None]
    exact = roc_area(positive, torch.from_numpy(map_[judge.space.home])[None])
    values = map_[:, None] * np.ones(20)
    assert judge.score(truth, values)["auc"] == pytest.approx(float(exact))


def test_figures_do_not_depend_on_the_unit(mesh: FineMesh, judge: Judge) -> None:
    truth = _truth(mesh, 30, 250)
    values = np.random.default_rng(1).standard_normal((100, 20))
    once, again = judge.score(truth, values), judge.score(truth, 1e-9 * values)
    assert once == pytest.approx(again)


def test_silence_and_nonsense(mesh: FineMesh, judge: Judge) -> None:
    truth = _truth(mesh, 30)
    figures = judge.score(truth, np.zeros((100, 20)))
    assert figures["auc"] == pytest.approx(0.5)
    assert (figures["found"], figures["ghosts"], figures["cosine"]) == (0.0, 0.0, 1.0)
    with pytest.raises(MajorantError, match="finite"):
        judge.score(truth, np.full((100, 20), np.nan))
    with pytest.raises(MajorantError, match="at least one source"):
        Truth.of(mesh, np.zeros((1, 300)), np.ones((1, 20)))


def test_maxima_are_no_lower_than_their_neighbours_in_space_and_time() -> None:
    rng = np.random.default_rng(2)
    values = rng.integers(0, 5, (12, 7)).astype(float)
    edges = np.array([(i, j) for i in range(12) for j in range(i) if rng.random() < 0.3])
    found = {tuple(point) for point in local_maxima(values, edges, 1.0)}
    for s in range(12):
        for t in range(7):
            around = [values[s, u] for u in (t - 1, t + 1) if 0 <= u < 7]
            around += [values[j, t] for i, j in edges if i == s]
            around += [values[i, t] for i, j in edges if j == s]
            top = values[s, t] >= 1.0 and values[s, t] >= max(around)
            assert ((s, t) in found) == top


def test_places_come_before_instants() -> None:
    """The rhythm of one source does not keep a weaker source from the list."""
    times, none = np.arange(100) / 100, np.zeros((0, 2), dtype=np.int64)
    rhythm = np.sin(2 * np.pi * 8 * times) ** 2 * np.linspace(1.0, 0.9, 100)
    weak = 0.3 * np.exp(-(((times - 0.5) / 0.05) ** 2))
    faint = 0.2 * np.exp(-(((times - 0.7) / 0.05) ** 2))
    places = np.array([[0.0, 0, 0], [50.0, 0, 0], [100.0, 0, 0]])
    found = list_peaks(np.stack([rhythm, weak, faint]), times, places, none)
    assert found[-1] == (1, 50)
    assert [place for place, _ in found] == [0, 0, 0, 0, 0, 1]


def test_two_peaks_near_each_other_are_one() -> None:
    values = np.zeros((3, 9))
    values[0, 4], values[1, 4], values[2, 4] = 1.0, 0.8, 0.9
    places = np.array([[0.0, 0, 0], [20, 0, 0], [60, 0, 0]])
    none = np.zeros((0, 2), dtype=np.int64)
    times = np.arange(9) / SFREQ
    assert list_peaks(values, times, places, none) == [(0, 4), (2, 4)]
