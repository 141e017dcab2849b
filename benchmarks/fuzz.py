"""Throw damaged and hostile files and words at our readers: each answers, or refuses in a sentence.

    python -m benchmarks.fuzz                # 100,000 inputs
    python -m benchmarks.fuzz --n 1000 cards

Readers: archives, cards of weights, imagers, lead fields, JSON of ours, records of BIDS studies,
lists of clips, sessions of THINGS-EEG2, options of commands. An input is drawn from a whole file
whose bytes, entries or tensors were changed, with sums that fit where a change is to get past them.
A refusal is a `MajorantError`; whatever else is raised, a crash, or more than 10 s ends the run.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import random
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from majorant.errors import MajorantError

LONGEST = 10
"""Seconds."""
Reader = Callable[[random.Random], None]

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 0.0, -0.0, 1e-300, 1e300, -1e9,
    float("nan"), float("inf"), "", "x", "\0", "\x1b[31m", "\udcff", "../../etc/passwd", "a" * 5000,
    [], [[]], {}, {"": {}}, [None] * 50, "nan", "1e999", "true",
)  # fmt: skip


def altered(value: Any, dice: random.Random, depth: int = 0) -> Any:
    """A JSON value with one thing changed, somewhere."""
    if dice.random() < 0.25 or depth > 6 or not isinstance(value, dict | list) or not value:
        return dice.choice(ODD)
    if isinstance(value, list):
        held, k = list(value), dice.randrange(len(value))
        what = dice.random()
        if what < 0.2:
            del held[k]
        elif what < 0.4:
            held.append(held[k])
        else:
            held[k] = altered(held[k], dice, depth + 1)
        return held
    made, key = dict(value), dice.choice(sorted(value, key=str))
    what = dice.random()
    if what < 0.15:
        del made[key]
    elif what < 0.25:
        made[str(dice.choice(ODD))[:50]] = made[key]
    else:
        made[key] = altered(made[key], dice, depth + 1)
    return made


def shaken(data: bytes, dice: random.Random) -> bytes:
    """Bytes with some changed, cut, doubled or put in."""
    held = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        k = dice.randrange(max(1, len(held)))
        what = dice.randrange(5)
        if what == 0 and held:
            held[k] ^= 1 << dice.randrange(8)
        elif what == 1:
            del held[k : k + dice.randint(1, 40)]
        elif what == 2:
            held[k:k] = dice.randbytes(dice.randint(1, 8))
        elif what == 3:
            held[k : k + 8] = struct.pack("<q", dice.choice((0, -1, 2**31, 2**40, 2**62, 255)))
        else:
            del held[k:]
    return bytes(held)


def other(tensor: torch.Tensor, dice: random.Random) -> torch.Tensor:
    """A tensor with another shape, type or some odd number."""
    what = dice.randrange(6)
    if what == 0:
        return tensor.reshape(-1)
    if what == 1:
        return tensor[: max(0, len(tensor) - 1)] if tensor.ndim else tensor[None]
    if what == 2:
        return tensor.to(dice.choice((torch.float16, torch.int16, torch.uint8, torch.float64)))
    if what == 3:
        return torch.zeros(dice.choice(((), (0,), (1, 1), (3, 0, 2))), dtype=tensor.dtype)
    made = tensor.clone().reshape(-1)
    if made.numel():
        odd = dice.choice((0.0, -1.0, 1e30, float("nan"), float("inf"), 7.0))
        if not made.is_floating_point():
            odd = dice.choice((0, -1, 100, 30_000))
        if made.dtype is torch.uint8:
            odd = abs(odd) % 256
        made[dice.randrange(made.numel())] = odd
        if what == 5:
            made[:] = odd
    return made.reshape(tensor.shape)


class Archives:
    """Archives of one kind: changed bytes, and changed parts with sums that fit."""

    def __init__(self, folder: Path, whole: Path, kind: str, version: int, read: Any) -> None:
        from majorant.files.archive import read_archive

        self.path, self.data, self.read = folder / whole.name, whole.read_bytes(), read
        self.path = folder / f"changed{whole.suffix}"
        self.kind, self.version = kind, version
        self.tensors, self.info = read_archive(whole, kind=kind, version=version)

    def __call__(self, dice: random.Random) -> None:
        """Change a file and read it."""
        from majorant.files.archive import write_archive

        if dice.random() < 0.3:
            self.path.write_bytes(shaken(self.data, dice))
        else:
            tensors, info = dict(self.tensors), self.info
            if dice.random() < 0.6:
                info = altered(info, dice)
                info = info if isinstance(info, Mapping) else {"": info}
            if tensors and dice.random() < 0.6:
                name = dice.choice(sorted(tensors))
                if dice.random() < 0.2:
                    del tensors[name]
                else:
                    tensors[name] = other(tensors[name], dice)
            write_archive(self.path, tensors, info, kind=self.kind, version=self.version)
        self.read(self.path)


def archives(folder: Path) -> dict[str, Reader]:
    """Readers of archives."""
    from majorant.bench.things_file import ThingsSession, read_session, write_session
    from majorant.files.archive import read_archive, write_archive
    from majorant.forward.leadfield import Leadfield
    from majorant.imager.imager import SourceImager

    plain = write_archive(
        folder / "plain.safetensors", {"a": torch.ones(3), "b": torch.arange(4)}, {"x": [1, {}]},
        kind="plain", version=1,
    )  # fmt: skip
    lead = small_leadfield(folder)
    imager = small_imager(folder)
    session = folder / "raw_eeg_test.npy"
    rng = np.random.default_rng(0)
    stim = np.zeros(40, np.int64)
    stim[5] = 3
    names = tuple(f"E{k}" for k in range(63))
    write_session(session, ThingsSession(1e-5 * rng.standard_normal((63, 40)), stim, names))
    held, changed = session.read_bytes(), folder / "changed.npy"

    def things(dice: random.Random) -> None:
        changed.write_bytes(shaken(held[:2000], dice) + held[2000:])
        read_session(changed)

    def read_plain(path: Path) -> None:
        read_archive(path, kind="plain", version=1)

    return {
        "archives": Archives(folder, plain, "plain", 1, read_plain),
        "leadfields": Archives(folder, lead, "leadfield", 1, Leadfield.load),
        "imagers": Archives(folder, imager, "imager", 1, SourceImager.load),
        "things": things,
        "cards": cards(folder),
    }


def small_leadfield(folder: Path) -> Path:
    """A lead field of a few sources."""
    from majorant.forward.leadfield import Leadfield

    generator = torch.Generator().manual_seed(0)
    made = Leadfield.from_arrays(
        torch.randn(6, 8, generator=generator, dtype=torch.float64),
        positions=0.05 * torch.randn(8, 3, generator=generator),
        edges=torch.tensor([[0, 1], [1, 2]]),
    )
    return made.save(folder / "lead.safetensors")


def small_imager(folder: Path) -> Path:
    """A fitted imager on a sphere."""
    import mne

    from majorant.imager.imager import SourceImager

    names = mne.channels.make_standard_montage("biosemi16").ch_names
    info = mne.create_info(names, 100.0, "eeg", verbose="error")
    info.set_montage("biosemi16", verbose="error")
    sphere = mne.make_sphere_model("auto", "auto", info, verbose="error")
    source = mne.setup_volume_source_space(
        pos=40.0, sphere=sphere, sphere_units="m", verbose="error"
    )
    forward = mne.make_forward_solution(info, None, source, sphere, verbose="error")
    noise = mne.make_ad_hoc_cov(info, verbose="error")
    return SourceImager("mne").fit(info, forward, noise).save(folder / "imager.safetensors")


def cards(folder: Path) -> Reader:
    """Cards of packaged weights, changed."""
    from majorant.files.archive import read_archive
    from majorant.learned.families import settings_from
    from majorant.learned.stored import KIND, VERSION
    from majorant.networks.card import Card
    from majorant.weights.shipped import DOMAINS, shipped

    info = read_archive(shipped("mm-net", DOMAINS[0]), kind=KIND, version=VERSION)[1]

    def read(dice: random.Random) -> None:
        made = altered(info, dice)
        if not isinstance(made, Mapping):
            return
        card = Card.from_dict(made, "a card")
        settings_from(card.name, card.settings)

    return read


def texts(folder: Path) -> dict[str, Reader]:
    """Readers of JSON, and of words."""
    from majorant.bids.study import GIST, KIND, read_record
    from majorant.cli.cite import used
    from majorant.cli.options import RecordingOptions, SourceOptions, _pair
    from majorant.files.output import is_results, read_small_json
    from majorant.simulate.neural_mass_shards import read_clips

    summary = {
        "title": "x", "solver": {"name": "mne"}, "decisions": [], "versions": {"majorant": "0"},
        "settings": {"image": {"forward": None, "solver": "sloreta"}}, "certificate": {},
        "files": [],
    }  # fmt: skip
    record = {
        "kind": KIND, "key": "sub-01", "plan": "a", "input": "b", "files": [],
        "estimates": [dict.fromkeys(GIST, 0)],
    }  # fmt: skip
    listed = {
        "format": "majorant clips", "version": 1, "identity": "x", "asked": 3, "reason": "",
        "sfreq": 100.0, "background": "0" * 64,
        "shards": [{"file": "clips-00000.safetensors", "clips": 3, "sha256": "0" * 64}],
    }  # fmt: skip

    def written(name: str, value: Any, dice: random.Random) -> Path:
        data = json.dumps(altered(value, dice)).encode()
        path = folder / name
        path.write_bytes(shaken(data, dice) if dice.random() < 0.3 else data)
        return path

    def read_json(dice: random.Random) -> None:
        found = read_small_json(written("summary.json", summary, dice))
        is_results(folder)
        if found is not None:
            used(found)

    def read_records(dice: random.Random) -> None:
        found = read_record(written("sub-01_estimates.json", record, dice))
        assert found is None or {"plan", "input", "estimates"} <= set(found)

    def read_lists(dice: random.Random) -> None:
        written("clips.json", listed, dice)
        read_clips(folder)

    def read_options(dice: random.Random) -> None:
        words = [str(part) for part in ODD] + ["gcv", "max_iter=3", "x=1e999", "=", "a=[", "0.5"]
        if dice.random() < 0.3:
            _pair(dice.choice(words) + dice.choice(("", "=", "=1", "=nan")))
            return
        numbers = [None, 0.2, *(v for v in ODD if isinstance(v, float))]
        snr = dice.choice(words) if dice.random() < 0.3 else "3"
        depth, loose, tmin, tmax, reject, scale = (
            dice.choice(numbers) if dice.random() < 0.3 else None for _ in range(6)
        )
        RecordingOptions(tmin=tmin, tmax=tmax, reject=reject, scale=scale).settings()
        SourceOptions(snr=snr, depth=depth, loose=loose).settings("mne").imager()

    def commands(dice: random.Random) -> None:
        from majorant.cli import main

        options = ("--tmin", "--snr", "--option", "--out", "--json", "--n", "--seed", "--depth")
        command = dice.choice(("cite", "image", "audit", "compare", "stream", "nope"))
        words = [command, str(folder / "nowhere")]
        for _ in range(dice.randint(0, 3)):
            words += [dice.choice(options), str(dice.choice(ODD)).replace("\0", "")]
        keep, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), io.StringIO(), io.StringIO()
        try:
            main(words)
        except SystemExit as stop:
            if stop.code not in (0, 2):
                raise RuntimeError(f"{words} ended with {stop.code}") from stop
        finally:
            sys.stdout, sys.stderr = keep

    return {
        "json": read_json, "records": read_records, "lists": read_lists, "options": read_options,
        "commands": commands,
    }  # fmt: skip


SHARES = {
    "archives": 20, "leadfields": 15, "imagers": 3, "things": 12, "cards": 15, "json": 12,
    "records": 10, "lists": 5, "options": 7, "commands": 1,
}  # fmt: skip
"""Of a hundred inputs."""


def late(*_: Any) -> None:
    """An input took too long."""
    raise TimeoutError


def fuzz(readers: Mapping[str, Reader], n: int, seed: int, say: Any = print) -> dict[str, int]:
    """Throw inputs at readers; returns how many each refused.

    Raises
    ------
    BaseException
        What a reader raised that is no refusal, with the seed that gives it again.
    """
    torch.set_num_threads(1)
    share = sum(SHARES[name] for name in readers)
    refused: dict[str, int] = {}
    signal.signal(signal.SIGALRM, late)
    for name, reader in readers.items():
        count, began, longest = math.ceil(n * SHARES[name] / share), time.monotonic(), 0.0
        refused[name] = 0
        for k in range(count):
            since = time.process_time()
            signal.alarm(6 * LONGEST)
            try:
                reader(random.Random(f"{seed} {name} {k}"))
            except MajorantError:
                refused[name] += 1
            except BaseException as error:
                error.add_note(f"input {k} of {name}, seed {seed}")
                raise
            finally:
                signal.alarm(0)
            longest = max(longest, time.process_time() - since)
            if longest > LONGEST:
                raise TimeoutError(f"input {k} of {name}, seed {seed}, took {longest:.1f} s")
        say(
            f"{name}: {count} inputs, {refused[name]} refused in a sentence, the others read; "
            f"longest {longest:.2f} s; {time.monotonic() - began:.0f} s in all",
            flush=True,
        )
    return refused


def all_readers(folder: Path, names: list[str] | None = None) -> dict[str, Reader]:
    """The readers that are named, or all."""
    found = {**archives(folder), **texts(folder)}
    return {name: found[name] for name in names or found}


def main_fuzz() -> None:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", help=f"{', '.join(SHARES)}; default: all")
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    import warnings

    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        fuzz(all_readers(Path(name), asked.readers), asked.n, asked.seed)


if __name__ == "__main__":
    main_fuzz()
