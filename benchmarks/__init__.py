"""What developers measure: speed, ablations, bounds, coverage, kills.

Run from the root of a checkout:

python -m benchmarks.speed
"""
