"""majorant's `auto`."""

from benchmark_utils.calls import Majorant


class Solver(Majorant):
    """`majorant.inverse` with `solver="auto"`."""

    name = "auto"
    solver = "auto"
