"""What was decided on the way, one sentence each, said as it is written down.

MNE is kept quiet, but what it warns of is listened to: a warning about the recording becomes a
sentence of the account; one about the names of files does not.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Account", "listening", "silent"]

HARMLESS = re.compile(
    r"naming conventions|filename extension|Fiducial point .* not found|"
    r"Online software filter|Coordinate(s)? system.*not (found|understood)|"
    r"No coordinate information found for channels|"
    r"Not setting positions of|preload=False.*EEGLAB|does not support preload",
    re.IGNORECASE | re.DOTALL,
)
"""Warnings that concern neither the data nor what is done with them."""

FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^/\s]+/)+")
"""Where files lie, which concerns nobody with whom a page is shared."""


def silent(sentence: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Account:
    """The decisions so far.

    Attributes
    ----------
    say : callable
        Called with every sentence as it is written.
    decisions : list of str
        All sentences, in order.
    """

    say: Callable[[str], None] = silent
    decisions: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Write a sentence down and say it; one that was said before is not repeated."""
        if sentence not in self.decisions:
            self.decisions.append(sentence)
            self.say(sentence)


@contextmanager
def listening(account: Account, doing: str) -> Iterator[None]:
    """Keep MNE quiet, and note what it warns of.

    Parameters
    ----------
    account : Account
    doing : str
        What is being done, for the sentence: "reading", "filtering".
    """
    import mne

    with warnings.catch_warnings(record=True) as caught, mne.utils.use_log_level("warning"):
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                text = FOLDERS.sub("", " ".join(str(warning.message).split()))
                ours = issubclass(warning.category, RuntimeWarning | UserWarning)
                if ours and not HARMLESS.search(text):
                    account.note(f"MNE warned while {doing}: {text.rstrip('.')}.")
