"""What data sets and solvers of this benchmark share."""
