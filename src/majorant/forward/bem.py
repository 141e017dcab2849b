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
from majorant.forward.mesh import barycentric, nearest_triangles

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
    triangles = _Triangles(shell, faces)
    n_faces, n = len(faces), len(shell)
    onto = [
        csr_array((np.ones(n_faces), (np.arange(n_faces), faces[:, k])), shape=(n_faces, n))
        for k in range(3)
    ]
    out = np.zeros((len(points), n))
    for start in range(0, len(points), 64):
        seen_from = torch.from_numpy(points[start : start + 64])
        for part, sum_up in zip(triangles.elements(seen_from), onto, strict=True):
            values = part.numpy()
            if same:
                index = start + np.arange(len(values))
                values[(faces[None] == index[:, None, None]).any(-1)] = 0.0
            out[start : start + 64] += values @ sum_up
    if same:
        _complete_own(out, faces)
    return out


class _Triangles:
    """A shell's triangles, and the integrals over their linear elements (de Munck, 1992).

    Everything that is linear in the point seen from is one product of matrices; of the vectors
    from it to the corners only lengths are needed beside.
    """

    def __init__(self, shell: np.ndarray, faces: np.ndarray) -> None:
        self.shell = torch.from_numpy(np.ascontiguousarray(shell, dtype=np.float64))
        self.faces = torch.from_numpy(faces.astype(np.int64))
        corner = [self.shell[self.faces[:, k]] for k in range(3)]
        normal = torch.linalg.cross(corner[1] - corner[0], corner[2] - corner[0])
        self.twice_area = normal.norm(dim=1)
        normal = normal / self.twice_area[:, None]
        self.normal, self.corner = normal, corner
        self.side = [corner[(k + 1) % 3] - corner[k] for k in range(3)]
        self.size = [side.norm(dim=1) for side in self.side]
        # normal . (a x b) of the vectors to two corners, linear in the point: value and slope.
        self.height = []
        for k in range(3):
            a, b = corner[(k + 1) % 3], corner[(k - 1) % 3]
            value = (torch.linalg.cross(a, b) * normal).sum(1)
            slope = torch.linalg.cross(b, normal) + torch.linalg.cross(normal, a)
            self.height.append((value, slope))

    def elements(self, points: Tensor) -> list[Tensor]:
        """Return the integrals over the three elements of every triangle, (n_points, n_faces)."""
        length = torch.cdist(points, self.shell, compute_mode="donot_use_mm_for_euclid_dist")
        reach = [length[:, self.faces[:, k]] for k in range(3)]
        # Vectors to corner k, times side k (which leaves it); to corner k + 1 it is longer by size.
        along = [(self.corner[k] * self.side[k]).sum(1) - points @ self.side[k].T for k in range(3)]
        level = (self.corner[0] * self.normal).sum(1) - points @ self.normal.T
        triple = level * self.twice_area
        product = reach[0] * reach[1] * reach[2]
        for k in range(3):
            after = (k + 1) % 3
            dot = (reach[k].square() + reach[after].square() - self.size[k].square()) / 2
            product += dot * reach[(k + 2) % 3]
        half = torch.atan2(triple, product)
        seen = half.abs() >= math.pi / 1e6
        beta = []
        for k in range(3):
            size = self.size[k]
            above = reach[k] + along[k] / size
            below = reach[(k + 1) % 3] + along[k] / size + size
            ratio = torch.where(seen, above / below, 1.0)
            beta.append(ratio.log() / size)
        turn = [beta[2] - beta[0], beta[0] - beta[1], beta[1] - beta[2]]
        out = []
        for k in range(3):
            value, slope = self.height[k]
            height = value - points @ slope.T
            # The side opposite to corner k, from the one after it to the one before it.
            j = (k + 1) % 3
            opposite = self.side[j]
            first = along[j]
            magic = turn[j] * first + turn[(j + 1) % 3] * (first + self.size[j].square())
            third = first + ((self.corner[k] - self.corner[j]) * opposite).sum(1)
            magic += turn[k] * third
            element = 2.0 * height * half / self.twice_area - triple * magic / self.twice_area**2
            out.append(torch.where(seen, element, 0.0))
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
    share = barycentric(points, scalp[faces[index]])
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
