"""MNE-Python's eLORETA."""

from benchmark_utils.calls import MinimumNorm


class Solver(MinimumNorm):
    """`mne.minimum_norm` with `method="eLORETA"`."""

    name = "mne-eloreta"
    method = "eLORETA"
