"""majorant's `lcmv`."""

from benchmark_utils.calls import Majorant


class Solver(Majorant):
    """`majorant.inverse` with `solver="lcmv"`."""

    name = "lcmv"
    solver = "lcmv"
