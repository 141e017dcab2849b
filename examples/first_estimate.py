"""
One source, three solvers
=========================

A patch of cortex is simulated, 90 electrodes see it with noise, and three solvers look for it. All
three are made and run in the same way, and each hands its certificate over with its estimate.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import torch

from majorant import Leadfield, make, solve
from majorant.metrics.localisation import Localisation
from majorant.simulate.dataset import SereegaLike

SOLVERS = {"sloreta": {}, "champagne": {"max_iter": 50}, "mm-net": {"weights": "sereega"}}

# %%
# The packaged lead field has 994 regions of the template and 90 electrodes. A sample is a patch,
# its waveform, and 5 dB of noise; the data come with the average reference. Twenty of them make
# one problem: a batch of twenty that do not know of each other.

data = SereegaLike(Leadfield.template_small(), 20, part="test")
batch = data.batch(range(20))
problem = data.problem(batch)
print(f"data {tuple(problem.y.shape)}: samples, channels after the reference, times")

# %%
# Every solver gets the same problem, and nothing else: the truth never reaches it.

found = {name: solve(problem, make(name, **options)) for name, options in SOLVERS.items()}
judge = Localisation(data.leadfield, data.sfreq)
errors = {
    name: judge.score(batch.x, solution.estimate.to(batch.y.dtype), batch.seed).le
    for name, solution in found.items()
}
for name, solution in found.items():
    print(f"{name}: {errors[name].mean():.1f} mm off, the mean of {len(batch)} samples")
    print(f"  {solution.certificate.sentence()}")

# %%
# The maps of the first sample at its peak, seen from above and from the right. The cross is the
# true place.

places = data.leadfield.positions.numpy() * 1e3
peak = int(batch.time[0].argmax())
maps = {"truth": batch.x[0, :, peak]}
maps |= {name: solution.estimate[0, :, peak] for name, solution in found.items()}
figure, axes = plt.subplots(2, 4, figsize=(10, 5), layout="constrained")
for column, (name, values) in enumerate(maps.items()):
    strength = values.abs().to(torch.float64)
    strength = (strength / strength.max()).numpy()
    for row, (across, up) in enumerate(((0, 1), (1, 2))):
        axis, order = axes[row, column], strength.argsort()
        axis.scatter(
            places[order, across], places[order, up], c=strength[order], s=9, cmap="viridis"
        )
        axis.plot(places[batch.seed[0], across], places[batch.seed[0], up], "+", color="red", ms=14)
        axis.set_aspect("equal")
        axis.set_axis_off()
    axes[0, column].set_title(name if name == "truth" else f"{name}: {errors[name][0]:.0f} mm off")
plt.show()
