"""A user's mistakes, each said in one sentence.

Kept apart from `problem.py` so that the command line can speak without loading torch.
"""

from __future__ import annotations


class MajorantError(ValueError):
    """A user's mistake, in one sentence: what was found, what was expected, what to do."""


class DamagedFile(MajorantError):
    """A file whose size, hash or content is not what its header promises."""
