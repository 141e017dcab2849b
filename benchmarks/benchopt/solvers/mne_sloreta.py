"""MNE-Python's sLORETA."""

from benchmark_utils.calls import MinimumNorm


class Solver(MinimumNorm):
    """`mne.minimum_norm` with `method="sLORETA"`."""

    name = "mne-sloreta"
    method = "sLORETA"
