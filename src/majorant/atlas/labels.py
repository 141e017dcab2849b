"""Labels of MNE as an atlas, so that regions of one's own go the way of all others."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from majorant.atlas.atlas import N_TEMPLATE, SIDES, Atlas
from majorant.errors import MajorantError

__all__ = ["of_labels"]


class _Space(Protocol):
    """What is asked of a source space."""

    @property
    def vertices(self) -> tuple[NDArray[np.int64], ...]: ...

    @property
    def subject(self) -> str | None: ...


def of_labels(labels: Any, space: _Space) -> Atlas | None:
    """Make an atlas of one or several `mne.Label`; None where they are something else.

    Parameters
    ----------
    labels : mne.Label, list of them, or anything else
    space : SourceSpace
        Of the estimate: labels of another subject are refused.

    Raises
    ------
    MajorantError
        If labels overlap, or are of another subject.
    """
    import mne

    several = [labels] if isinstance(labels, mne.Label) else labels
    if not isinstance(several, list | tuple) or not several:
        return None
    if not all(isinstance(label, mne.Label) for label in several):
        raise MajorantError(
            "expected labels of MNE of one hemisphere each (mne.Label), the name of an atlas or a "
            "file; a label of both has .lh and .rh"
        )
    subject = space.subject or "fsaverage"
    size = N_TEMPLATE if subject == "fsaverage" else 1
    size = max([size, *(int(v.max(initial=0)) + 1 for v in space.vertices)])
    names: list[str] = []
    tables = np.full(size, -1), np.full(size, -1)
    for label in several:
        if label.subject not in (None, subject):
            raise MajorantError(
                f"the label {label.name!r} is of the subject {label.subject!r}, and the estimate "
                f"of {subject!r}; morph it with label.morph"
            )
        side = 0 if label.hemi == "lh" else 1
        own = np.asarray(label.vertices)
        own = own[own < size]
        if (tables[side][own] >= 0).any():
            raise MajorantError(
                f"the label {label.name!r} overlaps another on the {SIDES[side]}; extract them one "
                "by one"
            )
        name = (label.name or "label").removesuffix("-lh").removesuffix("-rh")
        if name not in names:
            names.append(name)
        tables[side][own] = names.index(name)
    return Atlas("labels", tuple(names), tables, "Labels that were given.", subject)
