"""MNE-Python's MNE."""

from benchmark_utils.calls import MinimumNorm


class Solver(MinimumNorm):
    """`mne.minimum_norm` with `method="MNE"`."""

    name = "mne-mne"
    method = "MNE"
