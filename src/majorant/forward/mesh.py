"""Geometry of closed triangle surfaces: rays, nearest points, coarser icosahedra."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import KDTree

__all__ = [
    "MeshSample",
    "barycentric",
    "cast_rays",
    "cast_rays_near",
    "coarser_faces",
    "nearest_on_surface",
    "nearest_triangles",
    "octahedron",
]


def cast_rays(
    centre: np.ndarray, directions: np.ndarray, vertices: np.ndarray, faces: np.ndarray
) -> np.ndarray:
    """Return how far rays from a centre travel until they first meet a surface.

    Parameters
    ----------
    centre : ndarray, shape (3,)
    directions : ndarray, shape (n, 3)
        Unit vectors.
    vertices, faces : ndarray
        The surface.

    Returns
    -------
    ndarray, shape (n,)
        Infinite where a ray misses.

    Notes
    -----
    Moeller and Trumbore, "Fast, minimum storage ray-triangle intersection", 1997.
    """
    a, b, c = (vertices[faces[:, k]] - centre for k in range(3))
    edge1, edge2 = b - a, c - a
    q = np.cross(-a, edge1)
    out = np.full(len(directions), np.inf)
    for start in range(0, len(directions), 256):
        d = directions[start : start + 256]
        p = np.cross(d[:, None], edge2[None])
        det = (p * edge1).sum(-1)
        det[np.abs(det) < 1e-30] = np.nan
        u = (p * -a).sum(-1) / det
        v = d @ q.T / det
        t = (q * edge2).sum(-1) / det
        hit = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (t > 0)
        out[start : start + 256] = np.where(hit, t, np.inf).min(axis=1)
    return out


def cast_rays_near(
    centre: np.ndarray,
    directions: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    n_candidates: int = 6,
) -> np.ndarray:
    """Do the same as `cast_rays` for a surface that is star-shaped about the centre, faster.

    Only the triangles whose centres lie nearest in direction are searched; rays that miss them all
    are cast at every triangle.
    """
    a, b, c = (vertices[faces[:, k]] - centre for k in range(3))
    middle = a + b + c
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    index = KDTree(middle).query(directions, k=min(n_candidates, len(faces)))[1]
    edge1, edge2 = b - a, c - a
    q = np.cross(-a, edge1)
    p = np.cross(directions[:, None], edge2[index])
    det = (p * edge1[index]).sum(-1)
    det[np.abs(det) < 1e-30] = np.nan
    u = (p * -a[index]).sum(-1) / det
    v = (directions[:, None] * q[index]).sum(-1) / det
    t = (q * edge2).sum(-1)[index] / det
    hit = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (t > 0)
    out = np.where(hit, t, np.inf).min(axis=1)
    missed = ~np.isfinite(out)
    if missed.any():
        out[missed] = cast_rays(centre, directions[missed], vertices, faces)
    return out


def nearest_on_surface(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, n_candidates: int = 24
) -> np.ndarray:
    """Return the point of a surface that is nearest to each point, shape (n, 3).

    See `nearest_triangles`.
    """
    return nearest_triangles(points, vertices, faces, n_candidates)[0]


def barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return coordinates in triangles, of the feet of points on their planes.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
    corners : ndarray, shape (n, 3, 3)
        Of each point's triangle.

    Returns
    -------
    ndarray, shape (n, 3)
        They add to one, and are positive inside.
    """
    sides = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    gram = np.einsum("nik,nil->nkl", sides, sides)
    right = np.einsum("nik,ni->nk", sides, points - corners[:, 0])
    u = np.linalg.solve(gram, right[..., None])[..., 0]
    return np.concatenate([1.0 - u.sum(1, keepdims=True), u], axis=1)


def nearest_triangles(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, n_candidates: int = 24
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest points of a surface, shape (n, 3), and their triangles, shape (n,).

    The triangles whose centres are nearest are searched; on a mesh of even density that is exact.

    Notes
    -----
    Ericson, *Real-time collision detection*, 2005, section 5.1.5, written as: the foot on the
    plane where it lies inside the triangle, else the nearest of the feet on its three sides.
    """
    k = min(n_candidates, len(faces))
    index = KDTree(vertices[faces].mean(axis=1)).query(points, k=k)[1].reshape(len(points), k)
    corners = vertices[faces[index]]
    p = points[:, None, :]
    sides = [_foot_on_side(p, corners[:, :, i], corners[:, :, (i + 1) % 3]) for i in range(3)]
    origin = corners[:, :, 0]
    u, v, w = corners[:, :, 1] - origin, corners[:, :, 2] - origin, p - origin
    normal = np.cross(u, v)
    square = (normal**2).sum(-1)
    beta = (np.cross(w, v) * normal).sum(-1) / square
    gamma = (np.cross(u, w) * normal).sum(-1) / square
    inside = (beta >= 0) & (gamma >= 0) & (beta + gamma <= 1)
    plane = origin + beta[..., None] * u + gamma[..., None] * v
    feet = np.stack([plane, *sides], axis=2)
    distance = np.linalg.norm(feet - p[:, :, None], axis=-1)
    distance[:, :, 0][~inside] = np.inf
    best = distance.reshape(len(points), -1).argmin(axis=1)
    rows = np.arange(len(points))
    return feet.reshape(len(points), -1, 3)[rows, best], index[rows, best // 4]


def _foot_on_side(p: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    side = stop - start
    along = ((p - start) * side).sum(-1) / (side**2).sum(-1)
    return start + np.clip(along, 0, 1)[..., None] * side


def coarser_faces(faces: np.ndarray) -> np.ndarray:
    """Return the faces of the icosahedral mesh of which a mesh is the next subdivision.

    Parameters
    ----------
    faces : ndarray, shape (4 * n, 3)
        Vertices of the coarser mesh come first in the numbering.

    Returns
    -------
    ndarray, shape (n, 3)
        Oriented alike.
    """
    n_old = 10 * ((int(faces.max()) + 1 - 2) // 40) + 2
    corners = faces.astype(np.int64)
    n = int(corners.max()) + 1
    # The corner opposite a directed edge: a closed surface has each of them once.
    edges = np.concatenate([n * corners[:, k] + corners[:, (k + 1) % 3] for k in range(3)])
    tips = np.concatenate([corners[:, (k + 2) % 3] for k in range(3)])
    order = np.argsort(edges)
    edges, tips = edges[order], tips[order]
    a, b, c = corners[(corners >= n_old).all(axis=1)].T
    turned = (n * b + a, n * c + b, n * a + c)
    return np.stack([tips[np.searchsorted(edges, edge)] for edge in turned], axis=1)


def octahedron(depth: int) -> np.ndarray:
    """Return the vertices of an octahedron on the unit sphere, subdivided `depth` times over.

    Parameters
    ----------
    depth : int
        The octahedron itself is 1.

    Returns
    -------
    ndarray, shape (4 ** depth + 2, 3)
    """
    n = 2 ** (depth - 1)
    steps = np.arange(-n, n + 1)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    points = grid[np.abs(grid).sum(axis=1) == n].astype(np.float64)
    angle = np.pi / 2 * np.abs(points) / n
    points = np.sign(points) * np.sin(angle)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


class MeshSample:
    """A few vertices of a mesh, spread over all of it, with the triangles around them.

    Parameters
    ----------
    faces : ndarray, shape (n_faces, 3)
    n_vertices : int
    n_kept : int
        Vertices that every part has, beside those asked for.
    """

    def __init__(self, faces: np.ndarray, n_vertices: int, n_kept: int = 100) -> None:
        self.faces, self.n_vertices = faces, n_vertices
        index = np.repeat(np.arange(len(faces)), 3)
        shape = (n_vertices, len(faces))
        self._at = csr_array((np.ones(len(index), bool), (faces.ravel(), index)), shape=shape)
        self._kept = np.unique(np.linspace(0, n_vertices - 1, n_kept).astype(np.int64))

    def around(self, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the part of the mesh with all triangles of some vertices, and of the sample.

        Parameters
        ----------
        vertices : ndarray, shape (n,)

        Returns
        -------
        part : ndarray, shape (n_part,)
            Vertices of the mesh.
        faces : ndarray, shape (n_part_faces, 3)
            In their numbers.
        rows : ndarray, shape (n,)
            Where the vertices asked for are among them.
        """
        faces = self.faces[np.unique(self._at[np.r_[vertices, self._kept]].indices)]
        part = np.unique(np.r_[faces.ravel(), vertices])
        return part, np.searchsorted(part, faces), np.searchsorted(part, vertices)
