"""Potentials in three nested shells, by linear collocation, for many heads at once.

What depends on geometry alone, on the conductivities, on the electrodes and on the sources is kept
apart, so that a change of one costs only its own part: the coefficients are integrated once for the
shells, the transfer to the scalp's nodes is solved for a few conductivities of the skull and
interpolated between them, electrodes are points in triangles of the scalp, and the potentials that
dipoles would have in an infinite medium are computed where they are needed. No MNE is asked, and
the numbers are those of its solution (tests compare them).

References
----------
de Munck, "A linear discretization of the volume conductor boundary integral equation using
analytically integrated elements", IEEE TBME 39:986, 1992 (the integrals).
Haemaelaeinen and Sarvas, "Realistic conductivity geometry model of the human head for
interpretation of neuromagnetic data", IEEE TBME 36:165, 1989 (the isolated problem).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.linalg import lu_factor, lu_solve
from scipy.sparse import csr_array
from torch import Tensor

from majorant.errors import MajorantError
from majorant.forward.mesh import nearest_triangles

__all__ = [
    "SKULLS",
    "electrode_weights",
    "interpolated",
    "potentials",
    "shell_coefficients",
    "skull_nodes",
    "transfer",
]

SKULLS = (0.002, 0.03)
"""S/m: the skulls between which transfers are interpolated."""
N_NODES = 9
BLOCK = 256
"""Sources whose potentials are in memory at once."""
ISOLATED_LIMIT = 0.1
"""Largest ratio of skull to brain for which the isolated problem is solved apart."""


def shell_coefficients(shells: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Integrate the solid angles of all triangles, seen from all nodes, over linear elements.

    Parameters
    ----------
    shells : ndarray, shape (3, n, 3)
        Inner skull, outer skull, scalp, metres.
    faces : ndarray, shape (n_faces, 3)
        Of each shell alike.

    Returns
    -------
    ndarray, shape (3 n, 3 n), float64
        Rows are the nodes seen from, in the order scalp, outer skull, inner skull.
    """
    ordered = shells[::-1]
    n = ordered.shape[1]
    out = np.empty((3 * n, 3 * n))
    for i, seen_from in enumerate(ordered):
        for j, shell in enumerate(ordered):
            block = _integrate(seen_from, shell, faces, same=i == j)
            out[i * n : (i + 1) * n, j * n : (j + 1) * n] = block
    return out


def _integrate(points: np.ndarray, shell: np.ndarray, faces: np.ndarray, same: bool) -> np.ndarray:
    """Return the coefficients of one shell's nodes seen from points, shape (n_points, n)."""
    corner = shell[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    twice_area = np.linalg.norm(normal, axis=1)
    normal /= twice_area[:, None]
    n_faces, n = len(faces), len(shell)
    onto = [
        csr_array((np.ones(n_faces), (np.arange(n_faces), faces[:, k])), shape=(n_faces, n))
        for k in range(3)
    ]
    out = np.zeros((len(points), n))
    for start in range(0, len(points), 64):
        rows = slice(start, start + 64)
        parts = _elements(points[rows], corner, normal, twice_area)
        for part, sum_up in zip(parts, onto, strict=True):
            if same:
                index = np.arange(len(points))[rows]
                part[(faces[None] == index[:, None, None]).any(-1)] = 0.0
            out[rows] += part @ sum_up
    if same:
        _complete_own(out, faces)
    return out


def _elements(
    points: np.ndarray, corner: np.ndarray, normal: np.ndarray, twice_area: np.ndarray
) -> list[np.ndarray]:
    """Return the integrals over the three linear elements of every triangle (de Munck, 1992)."""
    v = [corner[None, :, k] - points[:, None] for k in range(3)]
    length = [np.linalg.norm(x, axis=-1) for x in v]
    triple = (np.cross(v[0], v[1]) * v[2]).sum(-1)
    product = length[0] * length[1] * length[2]
    for a, b, c in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        product += (v[a] * v[b]).sum(-1) * length[c]
    half = np.arctan2(triple, product)
    seen = np.abs(half) >= np.pi / 1e6
    beta = []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        side = corner[:, b] - corner[:, a]
        size = np.linalg.norm(side, axis=1)
        along = side / size[:, None]
        above = np.where(seen, length[a] + (v[a] * along).sum(-1), 1.0)
        below = np.where(seen, length[b] + (v[b] * along).sum(-1), 1.0)
        beta.append(np.log(above / below) / size)
    turn = [beta[2] - beta[0], beta[0] - beta[1], beta[1] - beta[2]]
    out = []
    for k in range(3):
        before, after = (k - 1) % 3, (k + 1) % 3
        difference = corner[:, before] - corner[:, after]
        height = np.einsum("pfi,fi->pf", np.cross(v[after], v[before]), normal)
        magic = sum(turn[m] * (v[m] * difference[None]).sum(-1) for m in range(3))
        value = (twice_area * height * 2.0 * half - triple * magic) / twice_area**2
        out.append(np.where(seen, value, 0.0))
    return out


def _complete_own(block: np.ndarray, faces: np.ndarray) -> None:
    """Give a shell's own nodes what its rows lack of 2 pi, half to the node, half around it."""
    missing = 2.0 * np.pi - block.sum(axis=1)
    members = np.bincount(faces.ravel(), minlength=len(block))
    block[np.arange(len(block)), np.arange(len(block))] = missing / 2.0
    share = missing / (4.0 * members)
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        np.add.at(block, (faces[:, a], faces[:, b]), share[faces[:, a]])
        np.add.at(block, (faces[:, a], faces[:, c]), share[faces[:, a]])


def transfer(coefficients: np.ndarray, conductivity: tuple[float, float, float]) -> np.ndarray:
    """Solve for the potentials at the scalp's nodes.

    Parameters
    ----------
    coefficients : ndarray, shape (3 n, 3 n)
        From `shell_coefficients`.
    conductivity : tuple of float, length 3
        S/m: brain, skull, scalp.

    Returns
    -------
    ndarray, shape (n, 3 n), float64
        What multiplies the potentials that sources have at all nodes in an infinite medium of
        1 S/m (`potentials`).

    Raises
    ------
    MajorantError
        If the skull conducts more than a tenth of what the brain does.
    """
    brain, skull, scalp = conductivity
    ratio = skull / brain
    if not 0 < ratio <= ISOLATED_LIMIT:
        raise MajorantError(
            f"the skull conducts {skull:g} S/m and the brain {brain:g}; expected a skull of at "
            f"most {ISOLATED_LIMIT:g} of the brain"
        )
    n = len(coefficients) // 3
    sigma = np.array([0.0, scalp, skull, brain])
    gamma = (sigma[1:] - sigma[:-1])[None, :] / (sigma[1:] + sigma[:-1])[:, None]
    whole = _system(coefficients, np.kron(gamma, np.ones((n, n))))
    to_scalp = np.zeros((3 * n, n))
    to_scalp[:n] = np.eye(n)
    rows = lu_solve(lu_factor(whole), to_scalp, trans=1).T
    inner = coefficients[2 * n :, 2 * n :]
    isolated = np.linalg.inv(_system(inner, np.ones((n, n))))
    rows[:, 2 * n :] -= 2.0 * rows[:, 2 * n :] @ isolated
    rows *= ratio
    return rows * np.repeat(2.0 / (sigma[1:] + sigma[:-1]), n)[None, :]


def _system(coefficients: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Return the matrix of the collocation equations, deflated."""
    n = len(coefficients)
    return np.eye(n) + 1.0 / n - coefficients * gamma / (2.0 * np.pi)


def skull_nodes() -> np.ndarray:
    """Return the skulls at which transfers are solved, S/m: Chebyshev's in the logarithm."""
    low, high = np.log(SKULLS)
    place = np.cos(np.pi * (np.arange(N_NODES) + 0.5) / N_NODES)
    return np.exp((low + high) / 2 + (high - low) / 2 * place)


def interpolated(transfers: Tensor, skull: float) -> Tensor:
    """Return the transfer of any skull, from those of `skull_nodes`.

    Parameters
    ----------
    transfers : Tensor, shape (n_nodes, n_rows, n_columns)
        Of all nodes of the conductivity.
    skull : float
        S/m, within `SKULLS`.

    Returns
    -------
    Tensor, shape (n_rows, n_columns)

    Notes
    -----
    Barycentric interpolation in the logarithm (Berrut and Trefethen, SIAM Review 46:501, 2004); a
    transfer is analytic in it, so that nine nodes err by a millionth.
    """
    if not SKULLS[0] <= skull <= SKULLS[1]:
        raise MajorantError(
            f"a skull of {skull:g} S/m was asked for; expected {SKULLS[0]:g} to {SKULLS[1]:g}"
        )
    nodes = np.log(skull_nodes())
    away = math.log(skull) - nodes
    if np.abs(away).min() < 1e-12:
        return transfers[int(np.abs(away).argmin())]
    sign = (-1.0) ** np.arange(N_NODES) * np.sin(np.pi * (np.arange(N_NODES) + 0.5) / N_NODES)
    weight = sign / away
    share = torch.from_numpy(weight / weight.sum()).to(transfers)
    return torch.einsum("k,kij->ij", share, transfers)


def electrode_weights(points: np.ndarray, scalp: np.ndarray, faces: np.ndarray) -> csr_array:
    """Return what turns potentials at the scalp's nodes into those of electrodes.

    Parameters
    ----------
    points : ndarray, shape (n_electrodes, 3)
    scalp, faces : ndarray, shape (n, 3), (n_faces, 3)

    Returns
    -------
    csr_array, shape (n_electrodes, n)
        Linear in the nearest triangle's plane.
    """
    _, index = nearest_triangles(points, scalp, faces)
    corner = scalp[faces[index]]
    sides = np.stack([corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]], axis=2)
    away = points - corner[:, 0]
    normal = np.cross(sides[:, :, 0], sides[:, :, 1])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    flat = away - (away * normal).sum(1, keepdims=True) * normal
    gram = np.einsum("nik,nil->nkl", sides, sides)
    right = np.einsum("nik,ni->nk", sides, flat)
    u = np.linalg.solve(gram, right[..., None])[..., 0]
    share = np.concatenate([1.0 - u.sum(1, keepdims=True), u], axis=1)
    rows = np.repeat(np.arange(len(points)), 3)
    return csr_array((share.ravel(), (rows, faces[index].ravel())), shape=(len(points), len(scalp)))


def potentials(
    rows: Tensor, nodes: Tensor, positions: Tensor, moments: Tensor, block: int = BLOCK
) -> Tensor:
    """Return what electrodes see of dipoles.

    Parameters
    ----------
    rows : Tensor, shape (n_electrodes, n_nodes)
        Transfers of the electrodes.
    nodes : Tensor, shape (n_nodes, 3)
        All shells' nodes in the order of the transfer's columns, metres.
    positions, moments : Tensor, shape (n_sources, 3)
        Metres; unit vectors.
    block : int
        Sources at once: memory is some ``24 n_nodes block`` bytes.

    Returns
    -------
    Tensor, shape (n_electrodes, n_sources)
        V/(A m), against infinity; of the type of the arguments. Single precision errs by a
        millionth of the largest entry: differences of places are formed before they are squared.
    """
    x, y, z = (nodes[:, k, None] for k in range(3))
    out = []
    for place, moment in zip(positions.split(block), moments.split(block), strict=True):
        away = x - place[:, 0]
        square, flux = away * away, away * moment[:, 0]
        for axis, coordinate in ((1, y), (2, z)):
            away = torch.sub(coordinate, place[:, axis], out=away)
            square.addcmul_(away, away)
            flux.addcmul_(away, moment[:, axis])
        flux.mul_(square.rsqrt_().pow_(3))
        out.append(rows @ flux)
    return torch.cat(out, dim=1) / (4.0 * math.pi)
