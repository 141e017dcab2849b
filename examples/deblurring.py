"""Deblur an image with the loop, the bounds and the guard that image brain activity.

The operator is matrix-free: a blur and its adjoint, and an upper bound of its norm. Nothing else of
the package knows that this is not a lead field. Run it with::

    python examples/deblurring.py
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from majorant import FunctionOperator, Problem, Solution, solve
from majorant.solvers.mm import ClassicalMM, Squares

SIZE, WIDTH, NOISE, WEIGHT = 48, 2.0, 0.02, 5.0


def blur(size: int = SIZE, width: float = WIDTH) -> FunctionOperator:
    """A Gaussian blur of square images with zeros around them, (n_batch, size * size, 1)."""
    reach = torch.arange(-3 * int(width), 3 * int(width) + 1, dtype=torch.float64)
    profile = torch.exp(-0.5 * (reach / width) ** 2)
    profile = profile / profile.sum()
    half = profile.numel() // 2

    def apply(x: Tensor) -> Tensor:
        image, taps = x.reshape(-1, 1, size, size), profile.to(x)[None, None]
        rows = F.conv2d(image, taps[:, :, None], padding=(0, half))
        return F.conv2d(rows, taps[..., None], padding=(half, 0)).reshape(x.shape)

    # the profile is symmetric, so the blur is its own adjoint; its taps are positive and sum to
    # one, so its norm is at most one
    return FunctionOperator(
        apply, apply, n_sensors=size * size, n_columns=size * size, norm_bound=1.0
    )


def scene(size: int = SIZE) -> Tensor:
    """A disc, a bar and a few points, shape (1, size * size, 1)."""
    axis = torch.linspace(-1, 1, size, dtype=torch.float64)
    v, h = torch.meshgrid(axis, axis, indexing="ij")
    image = ((v + 0.3) ** 2 + (h + 0.3) ** 2 < 0.12).double()
    image = image + 0.7 * ((v - 0.5).abs() < 0.06) * (h.abs() < 0.7)
    image[size // 4, 3 * size // 4] = image[size // 3, 7 * size // 8] = 2.0
    return image.reshape(1, -1, 1)


def problem(size: int = SIZE, seed: int = 0) -> tuple[Problem, Tensor]:
    """The blurred, noisy scene, whitened, and the scene itself."""
    truth, operator = scene(size), blur(size)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed)).to(truth)
    y = operator.apply(truth) + NOISE * noise
    return Problem(operator, y, noise=torch.full((size * size,), NOISE**2).to(truth)), truth


def main(size: int = SIZE, max_iter: int = 100) -> dict[str, Solution]:
    """Deblur by two bounds, and say what was promised and kept."""
    blurred, truth = problem(size)
    start = float((blurred.y - truth).norm() / truth.norm())
    print(f"blurred: relative error {start:.3f}")
    solutions = {}
    for bound, steps in (("scalar", max_iter), ("operator", 2)):
        solver = ClassicalMM(Squares(weight=WEIGHT, bound=bound), steps)
        out = solutions[bound] = solve(blurred, solver)
        error = float((out.estimate - truth).norm() / truth.norm())
        print(
            f"{bound}: relative error {error:.3f}, energy {float(out.certificate.energy[-1]):.2f}"
        )
        print(f"  {out.certificate.sentence()}")
        print(f"  The bound: {out.certificate.bound} ({out.certificate.kind}).")
    return solutions


if __name__ == "__main__":
    main()
