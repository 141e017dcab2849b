"""What a recording says about the skull: `python -m benchmarks.skull OUT [n_train] [n_test]`.

A head of the bank (skull, electrodes, cortex and, in two of three, thickness unlike the believed
ones) makes one recording of 64 electrodes: 60 windows of 20 samples at 10 dB, each with one to
three vertices, and rest, cortex that is active everywhere with an unknown extent (0 to 6 steps of
smoothing on the mesh). On the template's cortex, with electrodes where they are believed, nine
skulls from 0.0041 to 0.0127 S/m are weighed by

- *windows*: what the best place with a free direction leaves unexplained, summed over windows
  (logarithms), which is a profile likelihood;
- *rest*: the marginal likelihood of the resting covariance under equal, independent sources.

Neither is believed as it stands, for heads of the bank err in more than their skull: what a curve
over skulls says of the truth is learned by ridge regression from n_train recordings, with the
spread that is left, and judged on n_test recordings of the test part. The summary's mark: the
estimate within a factor of 1.4 in 80 %, and 90 % intervals that hold the truth in 90 %.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from benchmarks.head_loss import free, plain
from majorant.forward.bank import SKULL_RANGE, DrawnHead, HeadBank, Split
from majorant.forward.leadfield import average_reference
from majorant.forward.template_bank import template_bank

N_WINDOWS, N_TIMES, SNR_DB, KEPT = 60, 20, 10.0, 6
SKULLS = np.geomspace(*SKULL_RANGE, 9)
SMOOTHEST = 6
REST_SAMPLES = 4000
FACTOR = 1.4


@dataclass(frozen=True)
class Grid:
    """Believed heads with nine skulls.

    Attributes
    ----------
    bases : Tensor, shape (n_skulls, n_locations, 3, n_electrodes)
        Orthonormal rows of the three topographies of every location.
    moments : Tensor, shape (n_skulls, n_electrodes, n_electrodes)
        ``L L'``, trace of the number of electrodes.
    """

    bases: Tensor
    moments: Tensor


def cap() -> HeadBank:
    """64 electrodes of the 10-05 system's upper head."""
    whole = template_bank("standard_1020")
    high = [n for n, p in zip(whole.ch_names, whole.electrodes, strict=True) if p[2] > -0.02]
    return whole.pick(high[:64])


def grid(bank: HeadBank) -> Grid:
    """Make the believed heads."""
    from dataclasses import replace

    rows = average_reference(len(bank.ch_names))
    bases, moments = [], []
    for skull in SKULLS:
        gain = rows @ free(replace(plain(bank), skull=float(skull))).gain
        one = gain.T.reshape(-1, 3, len(rows))
        moment = gain @ gain.T
        moments.append(moment * len(rows) / moment.trace())
        bases.append(torch.linalg.qr(one.mT).Q.mT.float())
    return Grid(torch.stack(bases), torch.stack(moments))


def windows(fine: Tensor, rng: np.random.Generator) -> Tensor:
    """Windows as their strongest components, (n_windows, n_electrodes, KEPT), unit power."""
    out = []
    for _ in range(N_WINDOWS):
        chosen = rng.choice(fine.shape[1], int(rng.integers(1, 4)), replace=False)
        seen = fine[:, chosen] / fine[:, chosen].norm(dim=0)
        strength = torch.from_numpy(rng.uniform(0.5, 1.0, (len(chosen), 1)))
        course = torch.from_numpy(rng.standard_normal((len(chosen), N_TIMES)))
        out.append(noisy(seen @ (strength * course), rng))
    parts = torch.linalg.svd(torch.stack(out), full_matrices=False)
    kept = parts.U[:, :, :KEPT] * parts.S[:, None, :KEPT]
    return kept / parts.S.norm(dim=1)[:, None, None]


def noisy(signal: Tensor, rng: np.random.Generator) -> Tensor:
    """Add noise at 10 dB."""
    noise = torch.from_numpy(rng.standard_normal(tuple(signal.shape)))
    noise = noise - noise.mean(dim=0)
    return signal + noise * (signal.norm() / noise.norm()) * 10 ** (-SNR_DB / 20)


def rest(fine: Tensor, mix: csr_array, rng: np.random.Generator) -> Tensor:
    """A resting covariance, trace of the number of electrodes."""
    seen = fine.numpy().T
    for _ in range(int(rng.integers(SMOOTHEST + 1))):
        seen = mix @ seen
    sources = np.exp(0.5 * rng.standard_normal(len(seen)))
    root = np.linalg.cholesky((seen.T * sources**2) @ seen + 1e-12 * np.eye(seen.shape[1]))
    data = noisy(torch.from_numpy(root @ rng.standard_normal((len(root), REST_SAMPLES))), rng)
    moment = data @ data.T
    return moment * len(moment) / moment.trace()


def smoothing(bank: HeadBank) -> csr_array:
    """A vertex and its neighbours, averaged."""
    edges = bank.believed_fine.edges.numpy()
    n = bank.believed_fine.n_locations
    ones = np.ones(len(edges))
    near = csr_array((ones, edges.T), shape=(n, n))
    near = near + near.T + csr_array((np.ones(n), (np.arange(n), np.arange(n))), shape=(n, n))
    return csr_array(near.multiply(1 / near.sum(axis=1)[:, None]))


def curves(made: Grid, data: Tensor, moment: Tensor) -> dict[str, list[float]]:
    """Log likelihoods over skulls."""
    n = data.shape[1]
    flat = data.permute(1, 0, 2).flatten(1).float()
    fitted = []
    for bases in made.bases:
        seen = (bases.flatten(0, 1) @ flat).square()
        share = seen.unflatten(1, (len(data), -1)).sum(2).unflatten(0, (-1, 3)).sum(1)
        fitted.append(float(-0.5 * n * (1 - share.amax(dim=0)).clamp_min(1e-6).log().sum()))
    whole = []
    eye = torch.eye(n, dtype=torch.float64)
    for believed in made.moments:
        model = believed + 10 ** (-SNR_DB / 10) * eye
        model = model * n / model.trace()
        whole.append(
            float(
                -0.5
                * (
                    torch.linalg.slogdet(model).logabsdet
                    + torch.trace(torch.linalg.solve(model, moment))
                )
            )
        )
    return {"windows": fitted, "rest": whole}


def recording(bank: HeadBank, made: Grid, mix: csr_array, head: DrawnHead, key: int) -> dict:
    """One recording: the truth, and what its curves are."""
    rng = np.random.default_rng([key, 41])
    fine = head.fine.gain
    fine = fine - fine.mean(dim=0)
    found = curves(made, windows(fine, rng), rest(fine, mix, rng))
    return {"skull": head.skull, "own thickness": head.shape == (0, 0), **found}


def features(rows: list[dict], names: tuple[str, ...]) -> np.ndarray:
    """Curves about their mean, with a constant, (n, n_features)."""
    parts = [np.ones((len(rows), 1))]
    for name in names:
        values = np.array([row[name] for row in rows])
        values = values - values.mean(axis=1, keepdims=True)
        # Slope and bend say all that nine points of a smooth curve do.
        base = np.polynomial.legendre.legvander(np.linspace(-1, 1, values.shape[1]), 3)[:, 1:]
        parts.append(values @ np.linalg.pinv(base).T)
    return np.concatenate(parts, axis=1)


def fit(rows: list[dict], names: tuple[str, ...], ridge: float = 1.0) -> tuple[np.ndarray, ...]:
    """Ridge regression of the log conductivity; coefficients, scales and the spread left."""
    x, y = features(rows, names), np.log([row["skull"] for row in rows])
    scale = x.std(axis=0)
    scale[0] = 1.0
    z = x / scale
    penalty = ridge * np.eye(z.shape[1])
    penalty[0, 0] = 0.0
    inverse = np.linalg.inv(z.T @ z + penalty)
    weight = inverse @ z.T @ y
    # Left out one by one, as a new recording would be judged.
    hat = np.einsum("ij,jk,ik->i", z, inverse, z)
    left = (y - z @ weight) / (1 - hat)
    return weight, scale, np.array(left.std())


def judge(train: list[dict], test: list[dict]) -> None:
    """Print the table of docs/heads.md."""
    truth = np.log([row["skull"] for row in test])
    middle = np.log([row["skull"] for row in train]).mean()
    print("| by | within 1.4, % | median factor | spread told | 90 % intervals hold, % | r |")
    print("|---|---|---|---|---|---|")
    for names in ((), ("windows",), ("rest",), ("windows", "rest")):
        weight, scale, spread = fit(train, names)
        guess = features(test, names) / scale @ weight
        off = np.abs(guess - truth)
        r = np.corrcoef(guess, truth)[0, 1] if names else 0.0
        print(
            f"| {' and '.join(names) or f'nothing ({np.exp(middle):.4f} S/m)'} | "
            f"{100 * (off < np.log(FACTOR)).mean():.0f} | {np.exp(np.median(off)):.2f} | "
            f"{np.exp(spread):.2f} | {100 * (off < 1.645 * spread).mean():.0f} | {r:.2f} |"
        )


def main(folder: Path, n_train: int, n_test: int) -> None:
    """Simulate what is not there yet, then judge."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    bank = made = mix = None
    found: dict[str, list[dict]] = {}
    asked: tuple[tuple[Split, int], ...] = (("train", n_train), ("test", n_test))
    for split, count in asked:
        path = folder / f"{split}.jsonl"
        rows = [json.loads(line) for line in path.open()] if path.exists() else []
        while len(rows) < count:
            if bank is None or made is None or mix is None:
                bank = cap()
                made, mix = grid(bank), smoothing(bank)
            head = bank.draw(1, 77, split=split, start=len(rows))[0]
            rows.append(recording(bank, made, mix, head, len(rows) + 100_000 * (split == "test")))
            with path.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
        found[split] = rows
    judge(found["train"], found["test"])


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[2:]]
    main(Path(sys.argv[1]), *(given + [120, 60][len(given) :]))
