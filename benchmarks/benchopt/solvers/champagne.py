"""majorant's `champagne`."""

from benchmark_utils.calls import Majorant


class Solver(Majorant):
    """`majorant.inverse` with `solver="champagne"`."""

    name = "champagne"
    solver = "champagne"
