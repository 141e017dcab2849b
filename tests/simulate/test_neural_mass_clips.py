"""Clips hold a spike of their source alone; a folder of them is whole or says that it is not."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from majorant.forward.leadfield import Leadfield
from majorant.problem import DamagedFile, MajorantError
from majorant.simulate.connectome import Connectome
from majorant.simulate.neural_mass import Integration, JansenRit
from majorant.simulate.neural_mass_clips import ClipRecipe, Clips, ClipSettings, collect
from majorant.simulate.neural_mass_shards import make_clips, read_clips, write_clips

SMALL = ClipSettings(
    n_times=200, source_gain=4.0, integration=Integration(warmup=200), runs=32, background=24
)
RECIPE = ClipRecipe(SMALL, seed=1)


def same(a: Clips, b: Clips) -> bool:
    tensors = all(
        torch.equal(getattr(a, name), getattr(b, name))
        for name in ("waveforms", "region", "background")
    )
    return tensors and a.sfreq == b.sfreq


@pytest.fixture(scope="module")
def clips() -> Clips:
    return collect(RECIPE, 150)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips")
    write_clips(RECIPE, 150, path)
    return path


def test_every_clip_holds_a_spike_and_the_background_none(clips: Clips) -> None:
    assert clips.waveforms.shape == (150, 200)
    assert float(clips.waveforms.amax(1).min()) > 8
    assert clips.background.shape == (1, 24, 200)
    assert float(clips.background.max()) < 4
    assert clips.sfreq == 500
    assert clips.reason == ""
    assert (clips.region == -1).all()


def test_more_clips_begin_with_fewer(clips: Clips) -> None:
    assert torch.equal(collect(RECIPE, 20).waveforms, clips.waveforms[:20])
    assert not torch.equal(collect(ClipRecipe(SMALL, seed=2), 20).waveforms, clips.waveforms[:20])


def test_in_a_network_no_other_region_spikes(sphere: Leadfield) -> None:
    few = sphere.subset(torch.arange(20))
    apart = 1000 * torch.cdist(few.positions, few.positions)
    wiring = Connectome((torch.ones(20, 20) - torch.eye(20)) / 19, apart)
    settings = dataclasses.replace(SMALL, runs=8, n_times=250, background=2)
    recipe = ClipRecipe(settings, connectome=wiring)
    shard = recipe.shard(0)
    assert len(set(shard.region.tolist())) > 4
    assert float(shard.waveforms.amax(1).min()) > 8
    assert recipe.background().shape == (2, 20, 250)
    restless = dataclasses.replace(settings, column=JansenRit(A=4.0))
    assert len(ClipRecipe(restless, connectome=wiring).shard(0)) == 0


def test_fewer_clips_than_asked_are_explained() -> None:
    quiet = dataclasses.replace(SMALL, source_gain=3.25)
    found = collect(ClipRecipe(quiet), 10)
    assert len(found) == 0
    assert "0 of the 10" in found.reason
    assert "3.25 mV" in found.reason


def test_a_folder_gives_back_what_was_made(folder: Path, clips: Clips) -> None:
    read = read_clips(folder)
    assert torch.equal(read.waveforms, clips.waveforms)
    assert torch.allclose(read.background, clips.background, atol=1e-4)
    assert same(read, write_clips(RECIPE, 150, folder))
    assert not list(folder.glob(".*"))


def test_what_was_interrupted_continues_and_is_not_read_before(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, wanted: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        write_clips(RECIPE, 150, tmp_path, progress=stop)
    with pytest.raises(MajorantError, match="unfinished"):
        read_clips(tmp_path)
    first = tmp_path / "clips-00000.safetensors"
    before = first.stat().st_mtime_ns
    continued = write_clips(RECIPE, 150, tmp_path)
    assert first.stat().st_mtime_ns == before
    assert torch.equal(continued.waveforms, collect(RECIPE, 150).waveforms)


def test_a_killed_process_leaves_nothing_that_reads_as_whole(tmp_path: Path) -> None:
    """The process is killed while it writes a shard, between the file and its final name."""
    script = (
        "import os, signal, sys\n"
        "from majorant.simulate.neural_mass_shards import write_clips\n"
        "from majorant.simulate.neural_mass_clips import *\n"
        "replace, count = os.replace, []\n"
        "def last(*paths):\n"
        "    count.append(1)\n"
        "    if len(count) == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    replace(*paths)\n"
        "os.replace = last\n"
        "s = ClipSettings(n_times=200, source_gain=4.0, integration=Integration(warmup=200),\n"
        "                 runs=32, background=24)\n"
        "write_clips(ClipRecipe(s, seed=1), 150, sys.argv[1])\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "clips-00000.safetensors").exists()
    assert not (tmp_path / "clips-00001.safetensors").exists()
    with pytest.raises(MajorantError, match="unfinished"):
        read_clips(tmp_path)
    assert torch.equal(write_clips(RECIPE, 150, tmp_path).waveforms, collect(RECIPE, 150).waveforms)
    assert same(read_clips(tmp_path), write_clips(RECIPE, 150, tmp_path))


def test_a_collection_grows(tmp_path: Path, clips: Clips) -> None:
    write_clips(RECIPE, 20, tmp_path)
    assert len(read_clips(tmp_path)) == 20
    assert torch.equal(write_clips(RECIPE, 150, tmp_path).waveforms, clips.waveforms)
    assert len(read_clips(tmp_path)) == 150


@pytest.mark.parametrize("name", ["clips-00001.safetensors", "background.safetensors"])
@pytest.mark.parametrize("how", ["flip", "cut", "remove", "swap"])
def test_a_damaged_file_is_found_and_named(
    folder: Path, tmp_path: Path, name: str, how: str
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    victim = tmp_path / name
    data = bytearray(victim.read_bytes())
    if how == "flip":
        data[-9] ^= 1
        victim.write_bytes(data)
    elif how == "cut":
        victim.write_bytes(data[:-100])
    elif how == "swap":
        victim.write_bytes((tmp_path / "clips-00000.safetensors").read_bytes())
    else:
        victim.unlink()
    with pytest.raises(DamagedFile, match=name):
        read_clips(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 1, "shards": [{"file": "../../x", "clips": 1, "sha256": ""}]}',
        "[" * 5000,
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "clips.json").write_text(text)
    with pytest.raises(DamagedFile, match=r"clips\.json"):
        read_clips(tmp_path)


def test_a_folder_of_another_recipe_is_not_mixed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MajorantError, match="another seed"):
        write_clips(ClipRecipe(SMALL, seed=2), 150, folder)
    (tmp_path / "clips-00000.safetensors").write_bytes(
        (folder / "clips-00000.safetensors").read_bytes()
    )
    with pytest.raises(MajorantError, match="another seed"):
        write_clips(ClipRecipe(SMALL, seed=2), 150, tmp_path)


def test_no_clips_and_no_room_are_said(tmp_path: Path) -> None:
    with pytest.raises(MajorantError, match="no clips"):
        read_clips(tmp_path)
    plan = dataclasses.replace(RECIPE.plan(10), n_bytes=2**62)
    with pytest.raises(MajorantError, match="free"):
        write_clips(RECIPE, 10, tmp_path, plan=plan)
    (tmp_path / "file").write_text("")
    with pytest.raises(MajorantError, match="cannot be made"):
        write_clips(RECIPE, 10, tmp_path / "file" / "below")


def test_unstable_columns_leave_no_file(tmp_path: Path) -> None:
    wild = dataclasses.replace(SMALL, source_gain=1e38)
    with pytest.raises(MajorantError, match="finite"):
        write_clips(ClipRecipe(wild), 10, tmp_path)
    assert not list(tmp_path.iterdir())


def test_size_and_time_are_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_clips(30, tmp_path / "new", RECIPE)
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("30 clips, 0.0 MB, about")
    assert "30 clips in" in lines[-1].replace("\n", "") or "30 clips in" in " ".join(lines)
    quiet = RECIPE.plan(10)
    assert quiet.n_bytes == 10 * (4 * 200 + 8) + 2 * 24 * 200
    assert "unknown" in dataclasses.replace(quiet, seconds=float("inf")).sentence()


def test_bad_settings_are_one_sentence() -> None:
    with pytest.raises(MajorantError, match="at least 1"):
        ClipSettings(blocks=0)
    with pytest.raises(MajorantError, match="gain"):
        ClipSettings(source_gain=-1.0)
    with pytest.raises(MajorantError, match="at least one"):
        collect(RECIPE, 0)
    assert ClipRecipe(ClipSettings(column=JansenRit(mu=0.1))).record() != ClipRecipe().record()
