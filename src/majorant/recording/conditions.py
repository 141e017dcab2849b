"""Several conditions of one recording: prepared alike, with one noise, and their difference.

What is compared must be measured with one ruler: the same electrodes, the same window, and one
noise covariance from the trials of all conditions, so that the same topography gives the same
estimate in each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from majorant.errors import MajorantError
from majorant.recording.average import separate
from majorant.recording.events import spelled
from majorant.recording.file import Recording
from majorant.recording.prepare import Prepared, prepare
from majorant.recording.settings import Preparation
from majorant.recording.trials import data_covariance

__all__ = ["MINUS", "alike", "contrast", "pooled_data_covariance", "prepare_conditions", "sides"]

MINUS = " − "
"""Between the names of a contrast."""


def prepare_conditions(
    recording: Recording, settings: Preparation, say: Callable[[str], None] | None = None
) -> tuple[Prepared, ...]:
    """Prepare every condition that was asked for, so that they can be compared.

    Parameters
    ----------
    recording : Recording
    settings : Preparation
        Its event or condition names several.
    say : callable, optional
        Called with every decision as it is made, once.

    Returns
    -------
    tuple of Prepared
        On the same electrodes, with one noise covariance.

    Raises
    ------
    MajorantError
        If one of them cannot be prepared, or their times differ.
    """
    heard: set[str] = set()

    def once(sentence: str) -> None:
        if sentence not in heard and say is not None:
            say(sentence)
        heard.add(sentence)

    return alike([prepare(recording, own, once) for own in separate(recording, settings)])


def alike(prepared: Sequence[Prepared]) -> tuple[Prepared, ...]:
    """Bring conditions to the electrodes that all of them have, and to one noise covariance.

    Raises
    ------
    MajorantError
        If their times differ.
    """
    import mne

    first = prepared[0]
    for other in prepared[1:]:
        if len(other.evoked.times) != len(first.evoked.times) or not np.allclose(
            other.evoked.times, first.evoked.times
        ):
            raise MajorantError(
                f"{first.evoked.comment!r} and {other.evoked.comment!r} have different times, so "
                "they are not one comparison; give a window that both have with tmin and tmax"
            )
    names = [
        name for name in first.evoked.ch_names if all(name in p.evoked.ch_names for p in prepared)
    ]
    # A covariance from trials is known as well as there are trials; one from an average is not.
    weights = np.array([1.0 if p.epochs is None else float(len(p.epochs)) for p in prepared])
    covs = [mne.pick_channels_cov(p.noise_cov, names, ordered=True) for p in prepared]
    matrices = [np.diag(c.data) if c.data.ndim == 1 else np.asarray(c.data) for c in covs]
    mean = sum(w * m for w, m in zip(weights / weights.sum(), matrices, strict=True))
    noise = mne.Covariance(mean, names, [], covs[0]["projs"], int(sum(c["nfree"] for c in covs)))
    shared = f"One noise covariance for all {len(prepared)} conditions: the mean of theirs."
    return tuple(
        replace(
            p,
            evoked=p.evoked.copy().pick(names),
            noise_cov=noise,
            decisions=(*p.decisions, shared),
        )
        for p in prepared
    )


def sides(text: str, prepared: Sequence[Prepared]) -> tuple[int, int]:
    """Read a contrast such as ``"A-B"``; names may hold hyphens themselves.

    Returns
    -------
    tuple of int
        Which conditions it is of.

    Raises
    ------
    MajorantError
        If it is no difference of two of the conditions.
    """
    names: list[str] = []
    options: dict[str, int | None] = {}
    for p in prepared:
        names.append(p.evoked.comment)
        options[p.evoked.comment] = None
    for k, sign in enumerate(text):
        if sign not in "-−":
            continue
        ends = [spelled(end.strip(), options, tags=True) for end in (text[:k], text[k + 1 :])]
        if all(end is not None and len(end) == 1 for end in ends):
            one, other = (names.index(end[0]) for end in ends if end)
            if one != other:
                return one, other
    listed = ", ".join(map(repr, names))
    raise MajorantError(
        f"the contrast {text!r} is no difference of two of the conditions ({listed}); write it as "
        f"'{names[0]}-{names[-1]}'"
    )


def contrast(one: Prepared, other: Prepared) -> Prepared:
    """The difference wave of two conditions, as something to image.

    Its noise is that of a difference: ``1 / nave = 1 / nave_1 + 1 / nave_2``, as with
    `mne.combine_evoked`.

    Parameters
    ----------
    one, other : Prepared
        From :func:`prepare_conditions`.
    """
    evoked = one.evoked.copy()
    evoked.data = one.evoked.data - other.evoked.data
    evoked.comment = f"{one.evoked.comment}{MINUS}{other.evoked.comment}"
    counts = [max(int(p.evoked.nave), 1) for p in (one, other)]
    evoked.nave = max(1, round(1.0 / sum(1.0 / n for n in counts)))
    name = one.title.removesuffix(one.evoked.comment)
    eyes = None
    if one.eog is not None and other.eog is not None and one.eog_names == other.eog_names:
        eyes = one.eog - other.eog
    said = (
        f"The contrast is the estimate of the difference wave {evoked.comment}, with the noise of "
        f"{evoked.nave} trials ({counts[0]} and {counts[1]} averaged)."
    )
    return replace(
        one,
        evoked=evoked,
        title=f"{name}{evoked.comment}",
        decisions=(*dict.fromkeys((*one.decisions, *other.decisions)), said),
        eog=eyes,
        eog_names=() if eyes is None else one.eog_names,
        swings=None,
        epochs=None,
        parts=((1.0, one), (-1.0, other)),
        lone=tuple({own.name: own for p in (one, other) for own in p.lone}.values()),
    )


def pooled_data_covariance(prepared: Sequence[Prepared]) -> tuple[Any, str] | None:
    """Covariance of the trials of all conditions, for a beamformer with one filter for all.

    Returns
    -------
    mne.Covariance and str, or None
        As :func:`majorant.recording.trials.data_covariance`; None where one has no trials.
    """
    import mne

    found = [data_covariance(p) for p in prepared]
    covs = [each[0] for each in found if each is not None]
    if len(covs) < len(prepared):
        return None
    total = sum(int(cov["nfree"]) for cov in covs)
    mean = sum(cov["nfree"] / total * cov.data for cov in covs)
    cov = mne.Covariance(mean, covs[0].ch_names, [], [], nfree=total)
    n = sum(len(p.epochs) for p in prepared)
    return cov, f"Data covariance: from the {n} trials of all conditions ({total:,} samples)."
