"""
Deblurring images
=================

The loop, the bounds, the guard and the network that image brain activity, on images.

The operator is matrix-free: a blur and its adjoint, and an upper bound of its norm. Nothing else of
the package knows that this is not a lead field: the rows of an image stand where sources stand, its
columns where times stand. Three solvers, each with its certificate:

- classical majorisation-minimisation of squares with a Tikhonov term, under two bounds;
- MM-Net, trained here in half a minute on random scenes, judged on others;
- classical majorisation-minimisation of the very energy that MM-Net minimises.

Run it with::

    python examples/deblurring.py
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from majorant import FunctionOperator, Problem, Solution, solve
from majorant.learned.mmnet import MMNet
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.solvers.mm import ClassicalMM, SameAs, Squares
from majorant.training.bilevel import bilevel_loss, unroll

SIZE, SPOTS, WIDTH, NOISE, WEIGHT = 32, 7, 2.0, 0.02, 0.1
STEPS, BATCH, RATE = 200, 16, 5e-3


def blur(size: int = SIZE, width: float = WIDTH) -> FunctionOperator:
    """A Gaussian blur of square images with zeros around them, (n_batch, size, size)."""
    reach = torch.arange(-3 * int(width), 3 * int(width) + 1, dtype=torch.float64)
    profile = torch.exp(-0.5 * (reach / width) ** 2)
    profile = profile / profile.sum()
    half = profile.numel() // 2

    def apply(x: Tensor) -> Tensor:
        image, taps = x[:, None], profile.to(x)[None, None]
        rows = F.conv2d(image, taps[:, :, None], padding=(0, half))
        return F.conv2d(rows, taps[..., None], padding=(half, 0))[:, 0]

    # the profile is symmetric, so the blur is its own adjoint; its taps are positive and sum to
    # one, so its norm is at most one
    return FunctionOperator(apply, apply, n_sensors=size, n_columns=size, norm_bound=1.0)


def scenes(n: int, size: int, generator: torch.Generator) -> Tensor:
    """Images of one to seven spots each, as a microscope sees them, shape (n, size, size)."""
    axis = torch.arange(size, dtype=torch.float64)
    v, h = (grid[None, None] for grid in torch.meshgrid(axis, axis, indexing="ij"))

    def drawn(low: float, high: float) -> Tensor:
        u = torch.rand(n, SPOTS, 1, 1, generator=generator, dtype=torch.float64)
        return low + (high - low) * u

    away = (v - drawn(2, size - 3)) ** 2 + (h - drawn(2, size - 3)) ** 2
    spots = drawn(0.4, 1.0) * torch.exp(-away / (2 * drawn(0.6, 1.4) ** 2))
    lit = drawn(0, 1) < 0.7
    lit[:, 0] = True
    return (spots * lit).sum(1)


def problem(n: int, size: int, seed: int) -> tuple[Problem, Tensor]:
    """Blurred, noisy scenes, and the scenes themselves."""
    generator, operator = torch.Generator().manual_seed(seed), blur(size)
    truth = scenes(n, size, generator)
    noise = torch.randn(truth.shape, generator=generator, dtype=truth.dtype)
    return Problem(operator, operator.apply(truth) + NOISE * noise), truth


def train(size: int = SIZE, steps: int = STEPS, seed: int = 0) -> MMNet:
    """An MM-Net for images: unroll, compare with the truth, go downhill."""
    settings = MMNetSettings(
        n_sources=size, prior_hidden=64, hidden=32, iterations=8, start="minimum-norm"
    )
    network = MMNetwork(settings, torch.Generator().manual_seed(seed))
    geometry = network.geometry(blur(size), torch.float32)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 + 0.5 * math.cos(math.pi * step / steps)
    )
    for step in range(steps):
        blurred, truth = problem(BATCH, size, seed=1 + step)
        given = Problem(blurred.operator, blurred.y.float())
        iterates = unroll(network, given, geometry)
        loss = bilevel_loss(network, iterates, truth.float(), deep=0.5).total
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimiser.step()
        schedule.step()
    return MMNet(network)


def main(size: int = SIZE, steps: int = STEPS, max_iter: int = 100) -> dict[str, Solution]:
    """Deblur scenes in every way, and say what was promised and kept."""
    blurred, truth = problem(8, size, seed=0)
    print(f"blurred: relative error {_error(blurred.y, truth):.3f}")
    learned = train(size, steps)
    solvers = {
        "Tikhonov, one number as bound": ClassicalMM(Squares(WEIGHT, "scalar"), max_iter),
        "Tikhonov, the operator as bound": ClassicalMM(Squares(WEIGHT, "operator"), 2),
        "MM-Net's energy, classical": ClassicalMM(SameAs(learned), max_iter),
        "MM-Net": learned,
    }
    solutions = {}
    for name, solver in solvers.items():
        out = solutions[name] = solve(blurred, solver)
        energy = float(out.certificate.energy[-1].mean())
        print(f"{name}: relative error {_error(out.estimate, truth):.3f}, energy {energy:.4f}")
        print(f"  {out.certificate.sentence()}")
        print(f"  The bound: {out.certificate.bound} ({out.certificate.kind}).")
    return solutions


def _error(estimate: Tensor, truth: Tensor) -> float:
    return float(((estimate - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)).mean())


if __name__ == "__main__":
    main()
