"""Several solvers on one recording: where they agree, what they explain, what they promise."""
