"""
What the guard does
===================

A trained network proposes steps; nothing forces them to lower the energy, and beyond the number of
steps that it was trained for they do not. The guard looks at every two steps and takes them, a part
of them, a classical step, or nothing. The energy that is returned can then never rise, whatever the
network: the theorem and its proof are on the page about guarantees.
"""

from __future__ import annotations

from copy import deepcopy

import matplotlib.pyplot as plt
import torch

from majorant import Guard, Leadfield, solve
from majorant.learned.mmnet import MMNet
from majorant.simulate.dataset import SereegaLike
from majorant.weights.shipped import mm_net

STEPS = 40

# %%
# Eight simulated samples, and the packaged network three ways: without a guard, with it, and with
# its weights replaced by noise.

data = SereegaLike(Leadfield.template_small(), 40, part="test")
problem = data.problem(data.batch(range(8)))
trained = mm_net("sereega", sfreq=data.sfreq).network
broken = deepcopy(trained)
generator = torch.Generator().manual_seed(0)
with torch.no_grad():
    for weights in broken.parameters():
        weights.copy_(0.3 * torch.randn(weights.shape, generator=generator))

runs = {
    "trained, no guard": (trained, Guard("off", window=1)),
    "trained, guarded": (trained, Guard(window=2)),
    "random weights, guarded": (broken, Guard(window=2)),
}

# %%
# A rise is counted where the returned energy goes up by more than rounding.

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
for name, (network, guard) in runs.items():
    solver = MMNet(network, sfreq=data.sfreq, max_iter=STEPS, guard=guard)
    certificate = solve(problem, solver).certificate
    energy = certificate.energy.mean(1)
    steps = torch.linspace(0, STEPS, len(energy))
    axis.plot(steps, energy / energy[0], label=name)
    print(f"{name}: {int(certificate.violations.sum())} rises, ends at {energy[-1]:.3f}")
axis.set(xlabel="steps", ylabel="energy, relative to the start", yscale="log")
axis.legend(frameon=False)
plt.show()
