"""Source spaces as estimates need them: what kind, which vertices, of whom.

MNE has five kinds. Regions are a sixth, dressed as the vertices that they are made of; their value
is that of each of those vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError

__all__ = ["Kind", "SourceSpace"]

Kind = Literal["surface", "volume", "mixed", "discrete", "regions"]


@dataclass(frozen=True, eq=False)
class SourceSpace:
    """Where the values of an estimate belong.

    Attributes
    ----------
    kind : {"surface", "volume", "mixed", "discrete", "regions"}
    vertices : tuple of array
        Vertex numbers of every part, sorted: two hemispheres first, where there are any.
    subject : str or None
        Whose vertices they are.
    index : array or None, shape (n_vertices,)
        Regions: the region of every vertex, over both hemispheres.

    Raises
    ------
    MajorantError
        If the kind is unknown.
    """

    kind: Kind
    vertices: tuple[NDArray[np.int64], ...]
    subject: str | None
    index: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise MajorantError(
                f"a source space of kind {self.kind!r} is not known; expected one of "
                f"{', '.join(get_args(Kind))}"
            )

    @classmethod
    def of(cls, src: Any) -> SourceSpace:
        """Read the source space of an `mne.Forward`."""
        vertices = [np.asarray(part["vertno"], np.int64) for part in src]
        types = {part["type"] for part in src}
        kind: Kind = "surface"
        if types != {"surf"}:
            kind = "mixed" if "surf" in types else "discrete" if types == {"discrete"} else "volume"
        elif len(vertices) == 1:
            # MNE's surface estimates have two hemispheres, one of them possibly empty.
            none = np.zeros(0, np.int64)
            right = src[0]["id"] == 102
            vertices = [none, vertices[0]] if right else [vertices[0], none]
        return cls(kind, tuple(vertices), src._subject)

    @classmethod
    def of_regions(cls, leadfield: Leadfield) -> SourceSpace:
        """Regions of the template, on the vertices of fsaverage5."""
        assert leadfield.parcels is not None
        parcels = leadfield.parcels.numpy()
        vertices = [np.flatnonzero(side >= 0) for side in parcels]
        index = np.concatenate([s[v] for s, v in zip(parcels, vertices, strict=True)])
        return cls("regions", tuple(vertices), leadfield.subject or None, index)

    @property
    def has_normals(self) -> bool:
        """Whether every location has a normal of its own."""
        return self.kind in ("surface", "discrete", "regions")

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of locations (n_locations, ...) as values of vertices (n_vertices, ...)."""
        return values if self.index is None else values[self.index]

    def dress(self, data: Any, tmin: float, sfreq: float) -> Any:
        """Make the class of estimate that MNE has for this source space.

        Parameters
        ----------
        data : array or tuple
            Shape (n_locations, n_times), (n_locations, 3, n_times) for vectors, or the pair
            (kernel, sensor data) that MNE multiplies when the values are first asked for.
        tmin : float
            s.
        sfreq : float
            Hz.
        """
        import mne

        vector = not isinstance(data, tuple) and data.ndim == 3
        data = (self.spread(data[0]), data[1]) if isinstance(data, tuple) else self.spread(data)
        scalar_class, vector_class = {
            "surface": (mne.SourceEstimate, mne.VectorSourceEstimate),
            "regions": (mne.SourceEstimate, mne.VectorSourceEstimate),
            "volume": (mne.VolSourceEstimate, mne.VolVectorSourceEstimate),
            "discrete": (mne.VolSourceEstimate, mne.VolVectorSourceEstimate),
            "mixed": (mne.MixedSourceEstimate, mne.MixedVectorSourceEstimate),
        }[self.kind]
        make = vector_class if vector else scalar_class
        return make(
            data, list(self.vertices), tmin, 1.0 / sfreq, subject=self.subject, verbose="error"
        )
