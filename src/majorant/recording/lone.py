"""Electrodes that speak alone: what one of them shows, and no current in the head could.

An electrode that drifts or pops by itself is, to a solver, a strong and shallow source below it.
What tells the two apart is the skull: it spreads the current of even the smallest source over the
neighbours, and a fault spreads nowhere. So two explanations of the average compete, one after the
other, as in matching pursuit: the best single current in the head, any place, any direction, any
course, and the best single electrode by itself. Where the electrode explains more, it is alone;
where the current does, it is taken off, with the electrodes found, and the rest is looked at again.

What is explained is counted against the noise of the recording and against what a great many small
currents do (a Gaussian field of unknown strength, by maximum likelihood): with it an electrode by
itself explains what the others do not predict of it, which is kriging's leave-one-out residual
(Dubrule, Math Geol 15:687, 1983). The head is three spheres fitted to the electrodes, its currents
as shallow as cortex gets, so that any real head makes less local fields. What a wrong head leaves
of a strong current may look local, too, so what is left has to be worth half of what was taken off.
`benchmarks/lone.py` counts how often all of this is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from majorant.account import Account
from majorant.covariance import independent_samples
from majorant.errors import MajorantError
from majorant.forward.spheres import directions, fitted_sphere, three_spheres
from majorant.recording.channels import FEWEST
from majorant.recording.noise import check_covariance, within
from majorant.recording.rank import Space
from majorant.recording.sensors import whitener
from majorant.recording.settings import Preparation
from majorant.words import number

__all__ = ["Lone", "currents_of", "find_lone", "lone_within", "weighed"]

DEPTHS = (0.86, 0.7, 0.5)
"""Of currents, as shares of the head's radius; the first is the crown of a gyrus."""
WAYS, NEAR = 900, np.cos(np.deg2rad(30))
"""Places at one depth all around, and how near an electrode those are that count."""
HEAD_M = (0.04, 0.15)
"""Radii of heads, metres; electrodes on another sphere tell nothing."""
LEAST, TIMES, ERROR = 2.0, 6.0, 0.01
"""What an electrode by itself must show, squared and in variances of its noise: at least, over the
median electrode, and so much that noise does it in this share of recordings."""
WRONG_HEAD = 0.5
"""Of the power of the currents found before: what a wrong head may leave of them."""
MOST = 10
"""One electrode in so many may be alone, but one in any case; currents are as many, and four."""
GONE = 1e-6
"""Share of a topography that is left where what was taken off holds all of it."""


@dataclass(frozen=True)
class Lone:
    """An electrode that speaks alone.

    Attributes
    ----------
    name : str
    largest : float
        The largest that it alone shows, V.
    time : float
        When, s.
    rms : float
        Root mean square of what it alone shows, V.
    noise : float
        Standard deviation of its noise in the average, V.
    doubted : bool
        Whether its noise was taken to be as large, so that estimates hardly rest on it.
    """

    name: str
    largest: float
    time: float
    rms: float
    noise: float
    doubted: bool = False

    def sentence(self) -> str:
        """What was found, in numbers, and what to do."""
        when, up = number(1e3 * self.time, 3), number(1e6 * self.largest, 2)
        what = (
            f"{self.name} shows what no other electrode does and no current in the head could: up "
            f"to {up} µV (at {when} ms), where its noise is {number(1e6 * self.noise, 2)} µV. "
        )
        if self.doubted:
            what += f"Its noise was taken to be {up} µV, so that the estimate hardly rests on it. "
        else:
            what += "The estimate takes it at its word. "
        return what + (
            f"Look at it, and leave it out if it drifts (--bad '{self.name}'; in Python add it to "
            "info['bads'])."
        )


def weighed(
    evoked: Any, noise_cov: Any, info: Any, space: Space, settings: Preparation, account: Account
) -> tuple[Any, tuple[Lone, ...]]:
    """Find the electrodes that speak alone, say so, and doubt them unless they are to be believed.

    Parameters
    ----------
    evoked : mne.Evoked
        As it is imaged.
    noise_cov : mne.Covariance
        Of a single trial.
    info : mne.Info
        Of the good electrodes.
    space : Space
        Where their data are.
    settings : Preparation
    account : Account

    Returns
    -------
    noise_cov : mne.Covariance
        In which such electrodes are as noisy as the largest that they alone show.
    lone : tuple of Lone
    """
    # The average over stretches of rest is not what is imaged of them.
    lone = () if settings.stretch is not None else find_lone(evoked, noise_cov, settings.rank)
    if lone and settings.lone == "doubt":
        lone = tuple(replace(electrode, doubted=True) for electrode in lone)
        noise_cov = within(_raised(noise_cov, lone, max(int(evoked.nave), 1)), info, space)
    for electrode in lone:
        account.note(electrode.sentence())
    return noise_cov, lone


def find_lone(evoked: Any, noise_cov: Any, rank: Any = None) -> tuple[Lone, ...]:
    """Find the electrodes of an average that speak alone.

    Parameters
    ----------
    evoked : mne.Evoked
        As it is imaged: placed, referenced; its good EEG is looked at.
    noise_cov : mne.Covariance
        Of a single trial.
    rank : None, "info", "full" or mapping
        As for the imager.

    Returns
    -------
    tuple of Lone
        The plainest first; empty where electrodes or noise tell nothing.
    """
    import mne

    rows = mne.pick_types(evoked.info, meg=False, eeg=True)
    data, info = evoked.data[rows], mne.pick_info(evoked.info, rows)
    good = list(info["ch_names"])
    currents = currents_of(np.array([channel["loc"][:3] for channel in info["chs"]], float))
    if currents is None or not set(good) <= set(noise_cov["names"]):
        return ()
    cov = mne.pick_channels_cov(noise_cov, good, ordered=True)
    try:
        check_covariance(cov, info)
        white = np.sqrt(max(int(evoked.nave), 1)) * whitener(cov, info, rank, FEWEST // 2)
    except MajorantError:
        # Whoever whitens these data says what is wrong with their noise.
        return ()
    values = np.asarray(cov["data"], float)
    noise = np.sqrt((values if values.ndim == 1 else np.diag(values)) / max(int(evoked.nave), 1))
    return tuple(
        Lone(
            name=good[k],
            largest=float(np.abs(course).max()),
            time=float(evoked.times[np.abs(course).argmax()]),
            rms=float(np.sqrt((course**2).mean())),
            noise=float(noise[k]),
        )
        for k, course in lone_within(white @ data, white, currents @ white.T)
    )


def lone_within(
    y: NDArray[np.float64], white: NDArray[np.float64], currents: NDArray[np.float64]
) -> list[tuple[int, NDArray[np.float64]]]:
    """Find electrodes that explain more by themselves than any current.

    Parameters
    ----------
    y : array, shape (rank, n_times)
        White data.
    white : array, shape (rank, n_channels)
        What whitened them: a column is what a volt at one electrode alone is.
    currents : array, shape (n_places, n_orient, rank)
        White topographies of currents.

    Returns
    -------
    list of (int, array of shape (n_times,))
        Electrodes, and what each of them alone shows, V.
    """
    n_times, n_channels = y.shape[1], white.shape[1]
    samples = independent_samples((y - y.mean(axis=1, keepdims=True))[None])
    needed = max(LEAST, float(chdtri(samples, ERROR / n_channels)) / samples)
    root = _likely(y, currents)
    y, alone, currents = root @ y, root @ white, currents @ root.T
    # Sums of squares over time are those of the scores of the principal components.
    left, values, _ = np.linalg.svd(y, full_matrices=False)
    scores = left * values / np.sqrt(n_times)
    whole, found, taken = (alone**2).sum(axis=0), [], 0.0
    most = max(1, n_channels // MOST)
    for _ in range(2 * most + 4):
        length = (alone**2).sum(axis=0)
        seen = length > GONE * whole
        own = np.where(seen, ((alone.T @ scores) ** 2).sum(axis=1) / np.where(seen, length, 1), 0)
        k, enough = int(own.argmax()), max(needed, TIMES * float(np.median(own)))
        power, topography = _best_current(currents, scores)
        if max(own[k], power) < enough:
            break
        if own[k] > power and own[k] >= enough:
            if own[k] < WRONG_HEAD * taken or len(found) == most:
                break
            found.append((k, alone[:, k] @ y / length[k]))
            topography = alone[:, k]
        else:
            taken += power
        unit = topography / np.linalg.norm(topography)
        y, scores = y - np.outer(unit, unit @ y), scores - np.outer(unit, unit @ scores)
        alone = alone - np.outer(unit, unit @ alone)
        currents = currents - (currents @ unit)[..., None] * unit
    return found


def _raised(noise_cov: Any, lone: tuple[Lone, ...], nave: int) -> Any:
    """A covariance in which electrodes are as noisy as the largest that they alone show."""
    import mne

    values, names = np.array(noise_cov["data"], float), list(noise_cov["names"])
    matrix = np.diag(values) if values.ndim == 1 else values
    for electrode in lone:
        k = names.index(electrode.name)
        matrix[k, k] += nave * electrode.largest**2
    return mne.Covariance(matrix, names, noise_cov["bads"], noise_cov["projs"], noise_cov["nfree"])


def currents_of(places: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """What electrodes see of currents in a head of spheres, (n_places, 3, n_electrodes), V/(A m).

    None where the electrodes are on no head.
    """
    if len(places) < FEWEST or not (np.isfinite(places).all() and places.any(axis=1).all()):
        return None
    centre, radius = fitted_sphere(places)
    if not HEAD_M[0] <= radius <= HEAD_M[1]:
        return None
    out = places - centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    ways = directions(WAYS)
    ways = ways[(ways @ out.T).max(axis=1) > NEAR]
    return np.concatenate([three_spheres(out, ways, depth, radius) for depth in DEPTHS])


def _likely(y: NDArray[np.float64], currents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse root of the likeliest covariance: noise, as much as was said or more, and currents.

    One ratio of the two is searched; the noise that is best for it is in closed form.
    """
    flat = currents.reshape(-1, currents.shape[2])
    field = flat.T @ flat
    values, vectors = np.linalg.eigh(field * (len(field) / np.trace(field)))
    values = np.maximum(values, 0)
    power = ((vectors.T @ y) ** 2).mean(axis=1)
    shape = 1 + np.r_[0, np.logspace(-2, 4, 49)][:, None] * values
    noise = np.maximum((power / shape).mean(axis=1, keepdims=True), 1.0)
    spread = noise * shape
    best = spread[(np.log(spread) + power / spread).sum(axis=1).argmin()]
    return (vectors / np.sqrt(best)).T


def _best_current(
    currents: NDArray[np.float64], scores: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Power that the best current explains, of one direction, and its topography."""
    seen = currents @ scores
    values, vectors = np.linalg.eigh(currents @ currents.transpose(0, 2, 1))
    # Directions that are hardly seen would be lent whatever is left.
    kept = values > 1e-4 * np.maximum(values[:, -1:], np.finfo(float).tiny)
    root = vectors * np.where(kept, 1 / np.sqrt(np.where(kept, values, 1)), 0)[:, None]
    along = root.transpose(0, 2, 1) @ seen
    powers, ways = np.linalg.eigh(along @ along.transpose(0, 2, 1))
    place = int(powers[:, -1].argmax())
    direction = root[place] @ ways[place, :, -1]
    return float(powers[place, -1]), direction @ currents[place]
