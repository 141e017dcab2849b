"""Classical solvers, and the one loop."""
