"""What a recording says about the skull: `python -m benchmarks.skull OUT [n_train] [n_test]`.

Recordings of 64 electrodes, 60 windows of 20 samples at 10 dB and rest, on heads of the bank whose
skull, electrodes, cortex and, in two of three, thickness are unlike the believed ones
(`majorant.head.skull`). What their curves over skulls say is learned from n_train recordings and
judged on n_test of the test part. The mark: within a factor of 1.4 in 80 %, or the statement that
it cannot be told, with intervals of 90 % that hold the truth in 90 %. Curves are kept in OUT, and a
run goes on where it was.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.head_loss import cap
from majorant.forward.bank import Split
from majorant.head.skull import Heard, calibrated, simulate_recording, skull_grid, smoothing

N_WINDOWS, N_TIMES, SNR_DB = 60, 20, 10.0
FACTOR = 1.4
NOISE = 10 ** (-SNR_DB / 10) / (1 + 10 ** (-SNR_DB / 10))


def judge(train: list[Heard], test: list[Heard]) -> None:
    """Print the table of docs/heads.md."""
    truth = np.log([row.skull for row in test])
    middle = float(np.log([row.skull for row in train]).mean())
    off = np.abs(truth - middle)
    print("| by | within 1.4, % | median factor | spread told | 90 % hold, % | r | told |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| nothing ({math.exp(middle):.4f} S/m) | {100 * (off < math.log(FACTOR)).mean():.0f} | "
        f"{math.exp(np.median(off)):.2f} | | | | |"
    )
    for names in (("windows",), ("rest",), ("windows", "rest")):
        made = calibrated(train, names)
        said = [made.says(row) for row in test]
        guess = np.log([one.skull for one in said])
        off = np.abs(guess - truth)
        held = np.mean(
            [math.log(s.low) < t < math.log(s.high) for s, t in zip(said, truth, strict=True)]
        )
        print(
            f"| {' and '.join(names)} | {100 * (off < math.log(FACTOR)).mean():.0f} | "
            f"{math.exp(np.median(off)):.2f} | {math.exp(made.spread):.2f} | {100 * held:.0f} | "
            f"{np.corrcoef(guess, truth)[0, 1]:.2f} | {'yes' if said[0].told else 'no'} |"
        )


def main(folder: Path, n_train: int, n_test: int) -> None:
    """Simulate what is not there yet, then judge."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    made = None
    found: dict[str, list[Heard]] = {}
    asked: tuple[tuple[Split, int], ...] = (("train", n_train), ("test", n_test))
    for split, count in asked:
        path = folder / f"{split}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        while len(lines) < count:
            if made is None:
                bank = cap()
                made = bank, skull_grid(bank), smoothing(bank)
            bank, grid, mix = made
            head = bank.draw(1, 77, split=split, start=len(lines))[0]
            key = len(lines) + 100_000 * (split == "test")
            levels = np.full(N_WINDOWS, SNR_DB)
            one = simulate_recording(grid, head, mix, levels, N_TIMES, NOISE, key)
            parts = {"windows": one.windows.tolist(), "rest": one.rest.tolist(), "skull": one.skull}
            lines.append(json.dumps(parts))
            with path.open("a") as file:
                file.write(lines[-1] + "\n")
        read = [json.loads(line) for line in lines]
        found[split] = [
            Heard(np.array(row["windows"]), np.array(row["rest"]), row["skull"]) for row in read
        ]
    judge(found["train"], found["test"])


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[2:]]
    main(Path(sys.argv[1]), *(given + [60, 40][len(given) :]))
