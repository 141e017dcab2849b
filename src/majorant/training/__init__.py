"""How learned solvers are trained."""
