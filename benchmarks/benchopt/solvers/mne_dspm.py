"""MNE-Python's dSPM."""

from benchmark_utils.calls import MinimumNorm


class Solver(MinimumNorm):
    """`mne.minimum_norm` with `method="dSPM"`."""

    name = "mne-dspm"
    method = "dSPM"
