"""Learned solvers, one file each."""
