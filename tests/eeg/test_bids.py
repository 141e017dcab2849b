"""A data set in BIDS layout: every recording imaged, what fails said, what is finished kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant.bids.cluster import outcomes, spread_over
from majorant.bids.dataset import find_recordings, root_of
from majorant.bids.derivatives import open_derivatives, standing
from majorant.bids.page import render_group
from majorant.bids.study import RecordingOutcome, Study, image_item
from majorant.cli import bids_app, main
from majorant.errors import MajorantError
from majorant.imager.store import read_window
from majorant.imaging.result import ImageSettings
from majorant.recording.settings import Preparation

pytest.importorskip("mne_bids")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, raw: Any) -> Path:
    """Three subjects of a visual task, the third cut off; one of them also at rest."""
    from mne_bids import BIDSPath, write_raw_bids

    root = tmp_path_factory.mktemp("bids") / "study"
    short = raw.copy().crop(0, 9.99).pick("eeg")
    short.set_annotations(
        mne.Annotations([1, 2, 3, 4, 5, 6, 7, 8], 0.1, ["loud", "so/ft"] * 4), verbose="error"
    )
    for subject, task in (("01", "visual"), ("02", "visual"), ("03", "visual"), ("01", "rest")):
        path = BIDSPath(subject=subject, task=task, root=root, datatype="eeg")
        write_raw_bids(
            short, path, format="BrainVision", allow_preload=True, overwrite=True, verbose="error"
        )
    for ending in ("eeg.eeg", "eeg.vhdr"):
        (root / "sub-03" / "eeg" / f"sub-03_task-visual_{ending}").write_bytes(b"Brain")
    return root


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory, sphere_forward: Any) -> Path:
    path = tmp_path_factory.mktemp("head") / "sphere-fwd.fif"
    mne.write_forward_solution(path, sphere_forward, verbose="error")
    return path


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One worker process on this machine, and its address."""
    distributed = pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("dask")
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        dashboard_address=None,
        silence_logs=50,
        local_directory=str(folder),
    ) as cluster:
        yield cluster


def test_calls_are_spread_over_a_cluster_in_their_order(scheduler: Any) -> None:
    """What all calls share is sent once; without processes and cluster there is nothing to call."""
    shared = np.arange(300_000.0)
    with spread_over(1, None) as here:
        assert here is None
    with spread_over(1, scheduler.scheduler_address) as call:
        assert call is not None
        found = call(np.dot, [(shared, 2.0), (shared, 3.0)])
    assert [float(one[-1]) for one in found] == [2 * shared[-1], 3 * shared[-1]]


def study(root: Path, out: Path, head: Path, event: str | None = "loud") -> Study:
    imaging = ImageSettings("mne", forward=str(head), uncertainty="none")
    return Study(Preparation(event=event), imaging, str(open_derivatives(root, out)))


def runs(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    code = stop.value.code
    assert isinstance(code, int)
    return code


def test_a_data_set_becomes_derivatives_and_what_fails_is_said(
    dataset: Path,
    head: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What the pages look like is tested elsewhere, and drawing them takes seconds.
    monkeypatch.setattr("majorant.report.page.render_page", lambda *_: "<html></html>")
    words = ("image", "--bids", dataset, "--task", "visual", "--out", tmp_path)
    # A head of each subject's own, by its label.
    for label in ("01", "02", "03"):
        shutil.copy(head, tmp_path / f"{label}-fwd.fif")
    words = (*words, "--solver", "mne", "--forward", tmp_path / "{subject}-fwd.fif")
    words = (*words, "--uncertainty", "none")
    assert runs(*words, "--subjects", "sub-01,03") == 1
    said = capsys.readouterr().out
    assert "1 of 2 recordings imaged, 1 failed." in said
    assert "sub-03_task-visual" in said
    folder = tmp_path / "majorant"
    about = json.loads((folder / "dataset_description.json").read_text())
    assert about["DatasetType"] == "derivative"
    own = folder / "sub-01" / "eeg"
    assert not list(own.glob(".*"))
    # Without --event, every event is imaged for itself; labels of BIDS are letters and digits.
    for label, kind in (("loud", "loud"), ("soft", "so/ft")):
        stem = own / f"sub-01_task-visual_desc-{label}"
        summary = json.loads(Path(f"{stem}_summary.json").read_text())
        assert summary["title"].endswith(kind)
        assert summary["settings"]["image"]["forward"] == "01-fwd.fif"
        assert all((own / name).exists() for name in summary["files"])
        assert json.loads(Path(f"{stem}_certificate.json").read_text())["holds"] is True
        mne.read_source_estimate(f"{stem}_estimate-vl.stc")
    page = (folder / "group.html").read_text()
    assert 'href="sub-01/eeg/sub-01_task-visual_desc-soft_report.html"' in page
    assert "sub-03_task-visual" in page
    before = (own / "sub-01_task-visual_estimates.json").stat().st_mtime_ns
    assert runs(*words, "--subjects", "01") == 0
    assert "skipped as finished" in capsys.readouterr().out
    assert (own / "sub-01_task-visual_estimates.json").stat().st_mtime_ns == before
    assert runs(*words[:6], tmp_path / "raw", *words[7:], "--subjects", "02", "--raw") == 0
    stored = tmp_path / "raw" / "majorant" / "sub-02" / "eeg"
    read_window(stored / "sub-02_task-visual_desc-continuous_estimate.zarr", 1.0, 2.0)
    assert runs(*words, "--subjects", "01", "--snr", "2") == 2
    assert "with other settings" in capsys.readouterr().err


def test_a_killed_worker_costs_nothing_but_time(
    dataset: Path, head: Path, tmp_path: Path, scheduler: Any
) -> None:
    items = find_recordings(root_of(dataset), "visual", ["02"])
    task = study(dataset, tmp_path, head)
    killed: list[int] = []

    def kill() -> None:
        """Wait until a recording is being written, then kill who writes it."""
        for _ in range(6000):
            if list(Path(task.out).glob("sub-*/eeg/.majorant-*")):
                pid = next(iter(scheduler.workers.values())).pid
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    found = list(outcomes(items, task, address=scheduler.scheduler_address))
    killer.join()
    assert killed
    assert next(iter(scheduler.workers.values())).pid != killed[0]
    assert {outcome.key: outcome.failure for outcome in found} == {item.key: None for item in items}
    finished, changed, new = standing(items, task, overwrite=False)
    assert (finished, changed, new) == (items, (), ())
    assert not list(Path(task.out).glob("sub-*/eeg/.majorant-*"))
    # A sidecar that was mended is a recording to be imaged again.
    table = items[0].file.with_name(f"{items[0].key}_channels.tsv")
    text = table.read_text()
    table.write_text(text.replace("good", "bad", 1))
    assert standing(items, task, overwrite=False)[1] == items[:1]
    table.write_text(text)


def test_a_subject_label_is_filled_in_wherever_a_head_is_named(
    dataset: Path, tmp_path: Path
) -> None:
    asked = ImageSettings(
        subject="sub-{subject}", trans="{subject}/head-trans.fif", forward="f-{subject}.fif"
    )
    whole = Study(Preparation(noise_cov="{subject}-cov.fif"), asked, str(tmp_path))
    own = whole.of(find_recordings(dataset, "visual", ["02"])[0])
    assert (own.imaging.subject, own.imaging.trans) == ("sub-02", "02/head-trans.fif")
    assert (own.imaging.forward, own.preparation.noise_cov) == ("f-02.fif", "02-cov.fif")
    assert own.plan != whole.plan


def test_names_on_the_group_page_are_escaped(dataset: Path, head: Path, tmp_path: Path) -> None:
    task = study(dataset, tmp_path, head)
    failed = RecordingOutcome("sub-<b>01</b>", failure="<script>alert(1)</script>")
    page = render_group("<i>study</i>", task, [failed])
    assert "<script>" not in page
    assert "<b>01" not in page
    assert "&lt;i&gt;study" in page


def test_what_is_no_data_set_or_not_in_it_is_said(
    dataset: Path, head: Path, tmp_path: Path
) -> None:
    with pytest.raises(MajorantError, match="is a file, and --bids expects the root folder"):
        root_of(head)
    with pytest.raises(MajorantError, match=r"no dataset_description\.json"):
        root_of(tmp_path)
    with pytest.raises(MajorantError, match="there is no folder"):
        root_of(tmp_path / "none")
    with pytest.raises(MajorantError, match=r"no task 'visul' \(did you mean 'visual'\?\)"):
        find_recordings(dataset, "visul")
    with pytest.raises(MajorantError, match=r"several tasks, rest, visual; choose with --task"):
        find_recordings(dataset)
    with pytest.raises(MajorantError, match=r"no subject '011' with task 'visual' \(did you mean"):
        find_recordings(dataset, "visual", ["011"])
    bare = tmp_path / "bare"
    (bare / "sub-01" / "meg").mkdir(parents=True)
    (bare / "sub-01" / "meg" / "sub-01_task-rest_meg.fif").touch()
    (bare / "dataset_description.json").write_text('{"Name": "bare"}')
    with pytest.raises(MajorantError, match=r"no EEG recordings \(it has meg\)"):
        find_recordings(root_of(bare), "rest")
    other = tmp_path / "other"
    (other / "majorant").mkdir(parents=True)
    (other / "majorant" / "notes.txt").touch()
    with pytest.raises(MajorantError, match="holds no derivatives of Majorant"):
        open_derivatives(dataset, other)
    item = find_recordings(dataset, "rest")[0]
    outcome = image_item(item, study(dataset, tmp_path / "out", head, event="laud"))
    assert outcome.failure is not None
    assert "there is no event 'laud'" in outcome.failure
    with pytest.raises(MajorantError, match="no dask scheduler at"):
        next(outcomes([item], study(dataset, tmp_path / "out", head), address="tcp://[::1]:1"))


def test_a_bids_app_images_and_exits_as_the_command_does(
    dataset: Path, head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [])
    options = ["--event", "loud", "--forward", head, "--solver", "mne", "--uncertainty", "none"]
    for label, status in (("01", 0), ("09", 2)):
        words = [dataset, tmp_path, "participant", "--participant_label", label, "--task_id"]
        with pytest.raises(SystemExit) as stop:
            bids_app.main([str(word) for word in (*words, "visual", *options)])
        assert stop.value.code == status
    folder = tmp_path / "majorant" / "sub-01" / "eeg"
    said = json.loads((folder / "sub-01_task-visual_desc-loud_summary.json").read_text("utf-8"))
    assert said["command"][:3] == ["majorant", "image", "--bids"]
    command = [sys.executable, "-m", "majorant.cli.bids_app", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("majorant ")
