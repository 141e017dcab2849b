"""majorant's `eloreta`."""

from benchmark_utils.calls import Majorant


class Solver(Majorant):
    """`majorant.inverse` with `solver="eloreta"`."""

    name = "eloreta"
    solver = "eloreta"
