"""majorant's `unfolded-sbl`."""

from benchmark_utils.calls import Majorant


class Solver(Majorant):
    """`majorant.inverse` with `solver="unfolded-sbl"`."""

    name = "unfolded-sbl"
    solver = "unfolded-sbl"
