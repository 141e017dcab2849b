"""A live stream: what is estimated, how late it is said to be, and what it survives."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
import torch

from majorant import SourceImager
from majorant.cli import main
from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield
from majorant.head.places import locate
from majorant.imager.inverse import Job
from majorant.live.chunks import Chunk
from majorant.live.conditioner import Conditioner
from majorant.live.engine import KernelEngine, WindowEngine, engine_for, one_thread
from majorant.live.follow import Following, follow
from majorant.live.latency import Latency
from majorant.live.regions import check_regions, find_regions
from majorant.live.sinks import open_file
from majorant.registry import spec

SFREQ = 100.0
UNFILTERED = (None, None)


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.times: list[Any] = []
        self.values: list[Any] = []

    def write(self, times: Any, values: Any) -> None:
        self.times.append(times)
        self.values.append(values)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def imager(raw: Any, sphere_forward: Any) -> SourceImager:
    return SourceImager("mne", loose=0).fit(raw.info, sphere_forward)


@pytest.fixture(scope="module")
def network(raw: Any) -> SourceImager:
    return SourceImager("mm-net").fit(raw.info)


@pytest.fixture(scope="module")
def data(raw: Any, imager: SourceImager) -> np.ndarray:
    return raw.get_data(picks=imager.info_["ch_names"], tmax=9.99)


def cut(data: np.ndarray, clock: Clock, *sizes: int, sfreq: float = SFREQ) -> Iterator[Chunk]:
    """Chunks of some sizes, 3 ms after their last sample."""
    a = 0
    for size in sizes:
        times = np.arange(a, a + size) / sfreq
        clock.now = float(times[-1]) + 0.003
        yield Chunk(data[:, a : a + size], times, sfreq)
        a += size


def test_a_stream_is_imaged_as_the_recording_is(
    raw: Any, imager: SourceImager, data: np.ndarray
) -> None:
    regions = find_regions(imager.leadfield_, ["left frontal", "M1=40,-20,50,30"])
    assert regions.names == ("left frontal", "M1")
    kept, clock = Kept(), Clock()
    chunks = cut(data, clock, 1, 7, 130, 2, 60)
    engine = engine_for(imager, regions, SFREQ)
    toll = follow(chunks, engine, kept, clock, Following(band=UNFILTERED))
    whole = imager.apply(raw, stop=200).data
    for row, member, flip in zip(
        np.concatenate(kept.values, axis=1), regions.members, regions.flips, strict=True
    ):
        expected = (flip[:, None] * whole[member]).mean(0)
        assert np.abs(row - expected).max() <= 1e-9 * np.abs(expected).max()
    assert toll.samples == toll.estimates == 200
    # The oldest sample of the chunk of 130 waited 1.29 s for the youngest.
    assert toll.to_dict()["latency"]["max_ms"] == pytest.approx(1293)
    assert toll.to_dict()["work"]["max_ms"] == 0


def test_lengths_are_averaged_as_squares(raw: Any, sphere_forward: Any, data: np.ndarray) -> None:
    free = SourceImager("sloreta", loose=1).fit(raw.info, sphere_forward)
    regions = find_regions(free.leadfield_, ["frontal"])
    found = KernelEngine(free, regions).push(data[:, :50])
    whole = free.apply(raw, stop=50).data[regions.members[0]]
    assert found[0] == pytest.approx(np.sqrt((whole**2).mean(0)))


def test_the_scan_follows_with_lengths(raw: Any, sphere_forward: Any, data: np.ndarray) -> None:
    free = SourceImager("auto", loose=1).fit(raw.info, sphere_forward)
    regions = find_regions(free.leadfield_, ["frontal"])
    engine = engine_for(free, regions, SFREQ)
    assert isinstance(engine, WindowEngine)
    assert engine.length == round(0.25 * SFREQ)
    assert engine.push(data[:, : engine.length - 5]).shape == (1, 0)
    found = engine.push(data[:, engine.length - 5 : engine.length])
    solution = free.inverse.solve_windows(
        free.inverse.white(data[:, : engine.length], 1)[None], Job(1, SFREQ, None)
    )
    columns = solution.estimate[0, :, -5:].reshape(-1, 3, 5)[regions.members[0]]
    expected = columns.square().sum(1).mean(0).sqrt().numpy()
    assert found[0] == pytest.approx(expected, rel=1e-3)
    assert engine.certificate() is not None


def test_the_network_sees_the_window_that_ends_now(network: SourceImager, raw: Any) -> None:
    regions = find_regions(network.leadfield_, [])
    engine = engine_for(network, regions, SFREQ)
    assert isinstance(engine, WindowEngine)
    assert network.solver_options == {}  # so the number of steps is that of live windows
    assert engine._steps == spec("mm-net").abilities.live == 4
    data = raw.get_data(picks=network.info_["ch_names"])
    length = engine.length
    assert engine.push(data[:, : length - 3]).shape[1] == 0
    assert engine.push(data[:, length - 3 : length]).shape == (len(regions.names), 3)
    last = engine.push(data[:, length : length + 4])
    # Whoever comes late with more than a window gets the newest window.
    engine.reset()
    late = engine.push(data[:, : length + 4])
    assert late.shape[1] == length
    # Six steps in float32, from arrays that lie elsewhere in memory.
    assert last == pytest.approx(late[:, -4:], rel=1e-3, abs=3e-5 * np.abs(late).max())
    certificate = engine.certificate()
    assert certificate is not None
    assert certificate.to_dict()["holds"]


def test_what_happens_to_a_stream_is_survived_and_said(
    imager: SourceImager, data: np.ndarray
) -> None:
    clock, said, kept = Clock(), [], Kept()

    def stream() -> Iterator[Chunk | None]:
        def chunk(a: int, n: int, start: float, sfreq: float = SFREQ, session: int = 0) -> Chunk:
            times = start + np.arange(n) / sfreq
            clock.now = float(times[-1])
            return Chunk(data[:, a : a + n].copy(), times, sfreq, session)

        yield chunk(0, 50, 0.0)
        for clock.now in (0.9, 1.6, 3.0):
            yield None
        yield chunk(50, 50, 3.0)
        yield chunk(100, 20, 3.7)
        spoilt = chunk(120, 20, 3.9)
        spoilt.data[3, 4] = np.nan
        yield spoilt
        yield chunk(140, 50, 5.0, 50.0, session=1)
        # Declared as 50 Hz, but twice as fast.
        for k in range(10):
            fast = chunk(190 + 50 * k, 50, 6.0 + 0.5 * k, SFREQ, 1)
            yield Chunk(fast.data, fast.times, 50.0, 1)
        clock.now = 100.0
        yield None

    engine = engine_for(imager, find_regions(imager.leadfield_, ["frontal"]), SFREQ)
    toll = follow(stream(), engine, kept, clock, Following(patience=10), said.append)
    assert said == [
        "No samples for 1.1 s; waiting.",
        "Samples again after 3.0 s; 2.50 s of samples are missing.",
        "0.20 s of samples are missing.",
        "Some samples hold NaN or infinite values; they are left out.",
        "Connected again after 1.9 s; the rate is now 50 Hz, it was 100; at 50 Hz the filter does "
        "without 40 Hz.",
        "Samples come at 99.75 Hz, not at 50 as declared.",
        "No samples for 89.0 s; waiting.",
        "No samples for 89 s; stopped.",
    ]
    counted = (toll.stalls, toll.gaps, toll.connections, toll.rates, toll.broken)
    assert counted == (2, 2, 1, 2, 1)
    assert toll.estimates == toll.samples - 1
    assert np.isfinite(np.concatenate(kept.values, axis=1)).all()


def test_the_filter_looks_back_only_and_does_not_ring_at_an_offset(data: np.ndarray) -> None:
    whole = Conditioner((1.0, 40.0), SFREQ)(data)
    piecewise = Conditioner((1.0, 40.0), SFREQ)
    parts = [piecewise(data[:, a:b]) for a, b in ((0, 1), (1, 30), (30, 30), (30, 999))]
    assert np.concatenate(parts, axis=1) == pytest.approx(whole[:, :999])
    offset = Conditioner((1.0, 40.0), SFREQ)(np.full((2, 300), 0.03))
    assert np.abs(offset).max() < 1e-12
    assert 0 < Conditioner((None, 40.0), 500.0).delay() < 0.02


def test_latencies_are_counted_to_a_tenth_of_a_millisecond() -> None:
    latency, values = Latency(), np.random.default_rng(0).gamma(2.0, 0.01, 5000)
    values[7] = 20.0
    latency.add(values)
    for share in (0.5, 0.95):
        exact = np.quantile(values, share, method="inverted_cdf")
        assert exact <= latency.quantile(share) <= exact + 1.01e-4
    assert latency.to_dict()["max_ms"] == 20_000


def test_mistakes_are_said_before_the_stream_begins(
    raw: Any, imager: SourceImager, sphere_forward: Any, template: Leadfield, tmp_path: Path
) -> None:
    assert "left occipital" in find_regions(template, []).names
    with pytest.raises(MajorantError, match=r"no region 'ocipital' \(did you mean 'occipital'"):
        find_regions(template, ["ocipital"])
    with pytest.raises(MajorantError, match="holds no location"):
        find_regions(template, ["far=500,0,0"])
    places = locate(template)
    heschl = find_regions(template, ["left Superior temporal gyrus", "left temporal", "central"])
    assert heschl.names == ("left superior temporal gyrus", "left temporal", "central")
    own, lobe, _ = heschl.members
    assert set(own) < set(lobe)
    assert (places.hemisphere[own] == 0).all()
    # Superior temporal cortex is temporal also where boxes in MNI space would call it parietal.
    assert set(np.flatnonzero(np.linalg.norm(places.mni - (-60, -38, 12), axis=1) < 6)) <= set(lobe)
    every = find_regions(template, ["all", "V1=8,-88,4"])
    assert every.names[-1] != every.names[0]
    assert {"V1", "left precuneus", "right insula"} < set(every.names)
    check_regions(["All", "right precuneus"])
    with pytest.raises(MajorantError, match=r"did you mean 'precuneus'"):
        check_regions(["right precunius"])
    slow = SourceImager("champagne", loose=0).fit(raw.info, sphere_forward)
    with pytest.raises(MajorantError, match=r"follow a stream; take one of auto, mne, .*mm-net"):
        engine_for(slow, find_regions(slow.leadfield_, ["frontal"]), SFREQ)
    unsure = SourceImager("mne", loose=0, snr="gcv").fit(raw.info, sphere_forward)
    with pytest.raises(MajorantError, match="a stream has not come yet"):
        engine_for(unsure, find_regions(unsure.leadfield_, ["frontal"]), SFREQ)
    with pytest.raises(MajorantError, match=r"neither \.csv nor \.zarr"):
        open_file(tmp_path / "run.txt", ("a",), "Am", overwrite=False)
    (tmp_path / "run.csv").write_text("mine")
    with pytest.raises(MajorantError, match="is there already"):
        open_file(tmp_path / "run.csv", ("a",), "Am", overwrite=False)


def test_a_store_holds_what_was_written(tmp_path: Path) -> None:
    import zarr

    store = open_file(tmp_path / "run.zarr", ("a", "b"), "Am", overwrite=False)
    values = np.random.default_rng(0).standard_normal((2, 700))
    for a in range(0, 700, 70):
        store.write(np.arange(a, a + 70) / SFREQ, values[:, a : a + 70])
    store.close()
    group: Any = zarr.open_group(tmp_path / "run.zarr", mode="r")
    assert group["estimate"][:] == pytest.approx(values, rel=1e-6)
    assert group["time"][-1] == 6.99
    assert dict(group.attrs)["complete"] is True


@pytest.mark.parametrize("suffix", [".csv", ".zarr"])
def test_what_is_replaced_is_there_until_the_run_ends(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"run{suffix}"

    def written() -> int:
        if suffix == ".csv":
            return len(path.read_text().splitlines()) - 1
        return len(read_store(path)["time"][:])

    def opened(n: int) -> Any:
        sink = open_file(path, ("a",), "Am", overwrite=True)
        if n:
            sink.write(np.arange(n) / SFREQ, np.zeros((1, n)))
        return sink

    opened(3).close()
    sink = opened(600)
    assert written() == 3
    # A run that is killed leaves both, and nobody takes them for nothing.
    with pytest.raises(MajorantError, match=r"run\.unfinished.* from a run that did not end"):
        open_file(path, ("a",), "Am", overwrite=True)
    sink.close()
    assert written() == 600
    opened(0).close()
    assert written() == 600
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def read_store(path: Path) -> Any:
    import zarr

    return zarr.open_group(path, mode="r")


@pytest.fixture
def players(raw: Any) -> Iterator[Any]:
    """Makes streams on this machine, one after the other, under one name."""
    player = pytest.importorskip("mne_lsl.player", reason="MNE-LSL or liblsl is not here")
    lsl = pytest.importorskip("mne_lsl.lsl")
    made: list[Any] = []

    def play(sfreq: float) -> None:
        for old in made:
            if old.running:
                old.stop()
        again = raw.copy().pick("eeg").resample(sfreq, verbose="error")
        made.append(player.PlayerLSL(again, 5, name="majorant-test", source_id=f"{sfreq}"))
        made[-1].start()

    play(100.0)
    if not lsl.resolve_streams(timeout=5.0, name="majorant-test"):
        made[-1].stop()
        pytest.skip("LSL streams do not reach this machine from itself (no multicast)")
    yield play
    made[-1].stop()


def test_a_stream_of_lsl_that_comes_back_with_another_rate(
    players: Any, sphere_forward: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, table, numbers = (tmp_path / n for n in ("s-fwd.fif", "run.csv", "run.json"))
    mne.write_forward_solution(head, sphere_forward, verbose="error")

    def change() -> None:
        """Once some estimates are written, go on as another stream."""
        for _ in range(6000):
            if table.is_file() and len(table.read_text().splitlines()) > 30:
                players(50.0)
                return
            time.sleep(0.01)

    changing = threading.Thread(target=change)
    changing.start()
    words = ("stream", "majorant-test", "--forward", head, "--solver", "mne", "--duration", 3)
    with pytest.raises(SystemExit) as stop:
        main([str(w) for w in (*words, "--out", table, "--region", "frontal", "--json", numbers)])
    changing.join()
    said = capsys.readouterr()
    assert stop.value.code == 0, said.err
    assert "the rate is now 50 Hz, it was 100" in said.err
    found = json.loads(numbers.read_text())
    assert found["connections"] == 1
    lines = table.read_text().splitlines()
    assert lines[0] == 'time,"frontal"'
    assert len(lines) - 1 == found["estimates"] > 100
    times = np.array([float(line.split(",")[0]) for line in lines[1:]])
    assert (np.diff(times) > 0).all()
    # the player may stamp a whole chunk ahead: then there is no latency, and the run says so
    assert found["latency"]["median_ms"] < 10_000
    assert found["latency"]["median_ms"] > 0 or found["ahead"] > 0
    assert 0 < found["work"]["median_ms"] < 10_000


def test_a_saved_imager_follows_a_stream_and_publishes_what_it_finds(
    players: Any, raw: Any, sphere_forward: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mne_lsl.lsl import StreamInlet, resolve_streams

    saved = SourceImager("mne", loose=0).fit(raw.info, sphere_forward).save(tmp_path / "i")
    table, heard = tmp_path / "run.csv", {}

    def listen() -> None:
        found = resolve_streams(timeout=60.0, name="majorant-sources", minimum=1)
        inlet = StreamInlet(found[0])
        inlet.open_stream(timeout=10.0)
        heard["names"] = inlet.get_sinfo().get_channel_names()
        heard["unit"] = inlet.get_sinfo().get_channel_units()
        data, times = [], []
        for _ in range(200):
            more, stamps = inlet.pull_chunk(timeout=0.05)
            data.extend(np.array(more))
            times.extend(stamps)
            if len(times) > 40:
                break
        heard["data"], heard["times"] = np.array(data), np.array(times)
        inlet.close_stream()

    listening = threading.Thread(target=listen)
    listening.start()
    words = ("stream", "majorant-test", "--imager", saved, "--duration", 3, "--quiet")
    words = (*words, "--region", "left frontal", "--region", "M1=40,-20,50,40")
    with pytest.raises(SystemExit) as stop:
        main([str(w) for w in (*words, "--publish", "majorant-sources", "--out", table)])
    listening.join()
    said = capsys.readouterr()
    assert stop.value.code == 0, said.err
    assert heard["names"] == ["left frontal", "M1"]
    assert heard["unit"] == ["Am", "Am"]
    written = np.loadtxt(table, delimiter=",", skiprows=1)
    rows = np.searchsorted(written[:, 0], heard["times"] - 1e-6)
    assert len(heard["times"]) > 40
    assert written[rows, 0] == pytest.approx(heard["times"], abs=1e-5)
    assert written[rows, 1:] == pytest.approx(heard["data"], rel=1e-4)
    # It has its channels and its head: what is said of them beside it would be ignored.
    with pytest.raises(SystemExit) as stop:
        main([str(w) for w in (*words, "--montage", "biosemi32", "--bad", "Cz", "--out", "x.csv")])
    assert stop.value.code == 2
    assert "is fitted already" in " ".join(capsys.readouterr().err.split())


def test_solver_settings_of_the_command_reach_the_live_network(
    network: SourceImager, raw: Any
) -> None:
    from majorant.cli.options import SourceOptions

    asked = SourceOptions().settings("mm-net", option=["max_iter=2"]).imager()
    fitted: Any = copy(network)
    fitted._inverse = replace(network.inverse, options=asked.solver_options, _solvers={})
    engine = engine_for(fitted, find_regions(network.leadfield_, []), SFREQ)
    with one_thread():
        assert torch.get_num_threads() == 1
        data = raw.get_data(picks=network.info_["ch_names"])
        assert engine.push(data[:, : engine.length]).shape[1] > 0
    certificate = engine.certificate()
    assert certificate is not None
    assert isinstance(engine, WindowEngine)
    assert engine._solver.max_iter == 2
    # The start, and one decision of the guard, which comes every two steps.
    assert len(certificate.energy) == 2


def test_samples_that_gathered_while_an_estimate_was_made_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hop is counted from the last look, so work that takes longer adds no wait."""
    from majorant.live import lsl

    slept: list[float] = []
    monkeypatch.setattr(lsl, "clock", lambda: 0.0)
    monkeypatch.setattr(lsl.time, "sleep", slept.append)
    moments = iter([100.000, 100.000, 100.004, 100.010, 100.050, 100.050])
    monkeypatch.setattr(lsl.time, "monotonic", lambda: next(moments))

    class Inlet:
        def pull_sample(self, timeout: float) -> Any:
            return np.zeros(2), 0.0

        def pull_chunk(self, timeout: float, max_samples: int) -> Any:
            return np.zeros((3, 2)), np.zeros(3)

    source = lsl.Source("amp", None, np.ones(2), 100.0, 0.010, Inlet(), "uid")
    for _ in range(3):
        source._pull()
    assert slept == pytest.approx([0.0, 0.006, 0.0], abs=1e-9)
