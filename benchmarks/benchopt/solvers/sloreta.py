"""majorant's `sloreta`."""

from benchmark_utils.calls import Majorant


class Solver(Majorant):
    """`majorant.inverse` with `solver="sloreta"`."""

    name = "sloreta"
    solver = "sloreta"
