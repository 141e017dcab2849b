"""A head warped to what was digitised: scale, shear and a smooth field, fitted together.

The map takes places of the template to places of the person, ``T(x) = x + A (x - o) + b + u(x)``:
``A`` holds a common scale, one along each axis, shears and a small turn, ``b`` a shift, and ``u``
is a Gaussian random field with the covariance ``s^2 exp(-d^2 / (2 l^2))`` in every coordinate. All
have Gaussian priors, so that few points on one side of the head cannot distort the other. Points
that were digitised lie on the person's scalp, nobody knows where: what is fitted is their distance
from it along its normal, the nearest place being found anew at every step (point-to-plane iterated
closest points). ``T`` is linear in its coefficients; every step is one least-squares problem, with
Huber's weights against points that lie off the head. The same map then moves skulls and cortex.

References
----------
Chen and Medioni, "Object modelling by registration of multiple range images", 1992 (point to
plane). Bookstein, "Principal warps", IEEE PAMI 11:567, 1989, and Jaakkola and Haussler 1999 for
fields from few points; warped templates in EEG: Darvas et al., "Generic head models for atlas-based
EEG source analysis", Human Brain Mapping 27:129, 2006.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.spatial import ConvexHull

from majorant.errors import MajorantError
from majorant.forward.mesh import barycentric, nearest_triangles

__all__ = ["Points", "Warp", "WarpPrior", "circumference", "fit_warp", "scaled"]

N_CONTROLS = 110
N_ITER = 30
STILL = 3e-5
"""Metres: the fit ends when no point moves farther."""
BENDS = (0.0, 0.5, 1.0)
"""Shares of the field's prior that are tried; the one under which points that are left out lie
nearest is kept, so that a head is not bent where that helps nothing."""
FEWEST = 16
"""Points that a warp is fitted to, at least."""


@dataclass(frozen=True)
class WarpPrior:
    """What is expected of a person's head before any point is seen; standard deviations.

    Attributes
    ----------
    scale, axis, shear : float
        Common factor, further factor along each axis, shears.
    turn : float
        Radians, about each axis: how well the fiducials turn the head.
    shift : float
        Metres.
    field, length : float
        Metres: of the smooth field in every coordinate, and its length.
    noise : float
        Metres: of a digitised point, along the scalp's normal.
    fiducial : float
        Metres: of a fiducial, in every coordinate.
    named : float
        Metres: how far a cap's electrode is from the place that its name says, in every coordinate.
    independent : int
        Named electrodes are worth at most this many independent ones: caps sit askew as a whole.
    outlier : float
        Metres: points farther off count less.
    """

    scale: float = 0.08
    axis: float = 0.05
    shear: float = 0.02
    turn: float = 0.05
    shift: float = 0.005
    field: float = 0.004
    length: float = 0.045
    noise: float = 0.0025
    fiducial: float = 0.004
    named: float = 0.008
    independent: int = 8
    outlier: float = 0.006


@dataclass(frozen=True, eq=False)
class Points:
    """What was digitised, metres, in the axes of the template (rotated there by the fiducials).

    Attributes
    ----------
    scalp : ndarray, shape (n, 3)
        Anywhere on the scalp: electrodes first, then points of the head's shape.
    fiducials : ndarray or None, shape (3, 3)
        Left preauricular point, nasion, right preauricular point.
    named : ndarray or None, shape (n_named, 2, 3)
        Electrodes with names of the 10-05 system: where they were digitised, and where the system
        has them on the template's scalp. Caps are put on by hand, so they say little each.
    """

    scalp: np.ndarray
    fiducials: np.ndarray | None = None
    named: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Warp:
    """A map from the template to a person.

    Attributes
    ----------
    origin : ndarray, shape (3,)
    matrix : ndarray, shape (3, 3)
        What is added to the identity.
    shift : ndarray, shape (3,)
    controls, weights : ndarray, shape (n_controls, 3)
        Of the smooth field.
    length : float
        Metres.
    before_mm, after_mm : ndarray, shape (n_points,)
        Distance of every point from the scalp: of the template rotated, scaled and shifted as a
        whole, and of the warped one, the latter as all other points have it (leave one out).
    """

    origin: np.ndarray
    matrix: np.ndarray
    shift: np.ndarray
    controls: np.ndarray
    weights: np.ndarray
    length: float
    before_mm: np.ndarray = field(default_factory=lambda: np.zeros(0))
    after_mm: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Map places of the template, shape (n, 3), metres."""
        linear = places + (places - self.origin) @ self.matrix.T + self.shift
        if not len(self.controls):
            return linear
        return linear + _kernel(places, self.controls, self.length) @ self.weights

    @property
    def bent(self) -> bool:
        """Whether there is a field beside scale and shear."""
        return len(self.controls) > 0

    @property
    def scale(self) -> tuple[float, float, float]:
        """Factors along left-right, back-front, down-up."""
        factors = 1.0 + np.diag(self.matrix)
        return float(factors[0]), float(factors[1]), float(factors[2])


def scaled(factor: float, origin: np.ndarray) -> Warp:
    """Return the map that scales a head as a whole.

    Raises
    ------
    MajorantError
        If the factor is none of a head.
    """
    if not 0.5 < factor < 1.5:
        raise MajorantError(
            f"a head {factor:.2f} times as large as the template was asked for; expected 0.5 to "
            "1.5 (is the circumference in cm?)"
        )
    none = np.zeros((0, 3))
    return Warp(origin, (factor - 1.0) * np.eye(3), np.zeros(3), none, none, 1.0)


def circumference(scalp: np.ndarray, faces: np.ndarray) -> float:
    """Return the largest level circumference of a head above its ears, metres.

    Parameters
    ----------
    scalp, faces : ndarray, shape (n, 3), (n_faces, 3)
        Third coordinate up.

    Returns
    -------
    float
        As a tape measures it: of the convex hull of the section.
    """
    top = scalp[:, 2].max()
    lengths = []
    for height in np.linspace(top - 0.110, top - 0.040, 29):
        above = scalp[:, 2] > height
        crossing = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        crossing = crossing[above[crossing[:, 0]] != above[crossing[:, 1]]]
        a, b = scalp[crossing[:, 0]], scalp[crossing[:, 1]]
        share = (height - a[:, 2]) / (b[:, 2] - a[:, 2])
        section = (a + share[:, None] * (b - a))[:, :2]
        lengths.append(ConvexHull(section).area)
    # The tape lies above the brows: the section of median length, not that through the nose.
    return float(np.median(lengths))


def fit_warp(
    points: Points,
    scalp: np.ndarray,
    faces: np.ndarray,
    fiducials: np.ndarray,
    prior: WarpPrior | None = None,
) -> Warp:
    """Fit the map from a template's scalp to digitised points.

    Parameters
    ----------
    points : Points
    scalp, faces : ndarray, shape (n, 3), (n_faces, 3)
        The template's.
    fiducials : ndarray, shape (3, 3)
        The template's.
    prior : WarpPrior, optional

    Returns
    -------
    Warp

    Raises
    ------
    MajorantError
        If there are too few points, or they are not finite.
    """
    prior = prior or WarpPrior()
    y = np.asarray(points.scalp, dtype=np.float64)
    if len(y) < FEWEST or not np.isfinite(y).all():
        raise MajorantError(
            f"a head is warped to at least {FEWEST} digitised points; found {len(y)}"
            f"{'' if np.isfinite(y).all() else ', not all finite'}. Take the template as it is"
        )
    model = _Model(scalp, fiducials, prior)
    theta, tried = np.zeros(model.n), []
    for share in BENDS:
        stiffness = np.ones(model.n)
        stiffness[model.n_linear :] = max(share, 1e-3) ** -2
        theta, left_out = _fitted(model, points, y, scalp, faces, stiffness, theta)
        tried.append((share, theta, left_out))
    before = tried[0][2]
    share, theta, after = min(
        tried, key=lambda fit: np.mean(np.minimum(fit[2], prior.outlier) ** 2)
    )
    return model.warp(theta, bent=share > 0, before_mm=1e3 * before, after_mm=1e3 * after)


class _Model:
    """The map as a linear function of coefficients with unit normal priors."""

    def __init__(self, scalp: np.ndarray, fiducials: np.ndarray, prior: WarpPrior) -> None:
        self.prior, self.fiducials = prior, fiducials
        self.origin = (fiducials[0] + fiducials[2]) / 2
        self.controls = scalp[_spread(scalp, N_CONTROLS)]
        gram = _kernel(self.controls, self.controls, prior.length)
        gram[np.diag_indices_from(gram)] += 1e-6
        self.lower = np.linalg.cholesky(gram)
        eye = np.eye(3)
        generators = [np.cross(eye, eye[k]) for k in range(3)]
        shears = [np.outer(eye[i], eye[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
        self.basis = np.stack(
            [prior.scale * eye]
            + [prior.axis * np.outer(eye[k], eye[k]) for k in range(3)]
            + [prior.shear * (part + part.T) / 2**0.5 for part in shears]
            + [prior.turn * part for part in generators]
        )
        self.n_linear = len(self.basis) + 3
        self.n = self.n_linear + 3 * len(self.controls)

    def rows(self, places: np.ndarray) -> np.ndarray:
        """Derivatives of the mapped places, shape (n, 3, n_coefficients)."""
        out = np.zeros((len(places), 3, self.n))
        out[:, :, : len(self.basis)] = np.einsum("kij,nj->nik", self.basis, places - self.origin)
        out[:, :, len(self.basis) : self.n_linear] = self.prior.shift * np.eye(3)
        kernel = _kernel(places, self.controls, self.prior.length)
        features = self.prior.field * solve_triangular(self.lower, kernel.T, lower=True).T
        for axis in range(3):
            out[:, axis, self.n_linear + axis :: 3] = features
        return out

    def warp(self, theta: np.ndarray, *, bent: bool = True, **distances: np.ndarray) -> Warp:
        """Return the map of some coefficients, with or without its field."""
        k = len(self.basis)
        none = np.zeros((0, 3))
        field_part = self.prior.field * theta[self.n_linear :].reshape(-1, 3)
        return Warp(
            origin=self.origin,
            matrix=np.einsum("k,kij->ij", theta[:k], self.basis),
            shift=self.prior.shift * theta[k : self.n_linear],
            controls=self.controls if bent else none,
            weights=solve_triangular(self.lower.T, field_part, lower=False) if bent else none,
            length=self.prior.length,
            **distances,
        )


def _fitted(
    model: _Model,
    points: Points,
    y: np.ndarray,
    scalp: np.ndarray,
    faces: np.ndarray,
    stiffness: np.ndarray,
    start: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Iterate closest points; return coefficients and distances without each point, metres."""
    theta, prior = start, model.prior
    left, apart = np.ones(len(y)), np.zeros(len(y))
    last = model.warp(theta)(scalp)
    for _ in range(N_ITER):
        feet, index = nearest_triangles(y, last, faces)
        share = barycentric(feet, last[faces[index]])
        source = np.einsum("nk,nki->ni", share, scalp[faces[index]])
        corner = last[faces[index]]
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        rows = np.einsum("ni,nip->np", normal, model.rows(source))
        target = ((y - source) * normal).sum(1)
        apart = target - rows @ theta
        weight = np.sqrt(prior.outlier / np.maximum(np.abs(apart), prior.outlier)) / prior.noise
        system, right = rows * weight[:, None], target * weight
        gram, moment = system.T @ system, system.T @ right
        if points.fiducials is not None:
            marks = model.rows(model.fiducials).reshape(9, -1) / prior.fiducial
            gram += marks.T @ marks
            moment += marks.T @ ((points.fiducials - model.fiducials) / prior.fiducial).ravel()
        if points.named is not None and len(points.named):
            placed, expected = points.named[:, 0], points.named[:, 1]
            n = len(placed)
            unit = prior.named * np.sqrt(max(n / prior.independent, 1.0))
            marks = model.rows(expected).reshape(3 * n, -1) / unit
            gram += marks.T @ marks
            moment += marks.T @ ((placed - expected) / unit).ravel()
        gram[np.diag_indices_from(gram)] += stiffness
        factor = cho_factor(gram)
        theta = cho_solve(factor, moment)
        left = 1.0 - (system * cho_solve(factor, system.T).T).sum(1)
        apart = target - rows @ theta
        moved, last = last, model.warp(theta)(scalp)
        if np.abs(last - moved).max() < STILL:
            break
    return theta, np.abs(apart) / np.maximum(left, 1e-3)


def _kernel(a: np.ndarray, b: np.ndarray, length: float) -> np.ndarray:
    """The field's covariance at unit variance, shape (n_a, n_b)."""
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T
    return np.exp(np.maximum(square, 0.0) / (-2.0 * length**2))


def _spread(places: np.ndarray, count: int) -> np.ndarray:
    """Indices of places far from each other, beginning with the highest."""
    chosen = [int(places[:, 2].argmax())]
    distance = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < min(count, len(places)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return np.array(chosen)
