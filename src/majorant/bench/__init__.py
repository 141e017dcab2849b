"""Benchmarks: tables of accuracy, ratios of speed."""
