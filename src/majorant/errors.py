"""A user's mistakes, each said in one sentence.

Kept apart from `problem.py` so that the command line can speak without loading torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MajorantError(ValueError):
    """A user's mistake, in one sentence: what was found, what was expected, what to do."""


class DamagedFile(MajorantError):
    """A file whose size, hash or content is not what its header promises."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the known word that comes closest, for the sentence that refuses another.

    Parameters
    ----------
    name : str
        What was asked for.
    known : iterable of str
        What there is.

    Returns
    -------
    str
        ``" (did you mean 'sloreta'?)"``, or nothing where no word is close.
    """
    spelled = {word.casefold(): word for word in known}
    close = get_close_matches(name.casefold(), list(spelled), n=1, cutoff=0.5)
    return f" (did you mean {spelled[close[0]]!r}?)" if close else ""
