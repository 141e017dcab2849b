"""majorant's `mm-net-shared`."""

from benchmark_utils.calls import Majorant


class Solver(Majorant):
    """`majorant.inverse` with `solver="mm-net-shared"`."""

    name = "mm-net-shared"
    solver = "mm-net-shared"
