"""The card that goes with weights: what they are, where they hold, what they reached.

Networks live in source space. Sensors are free to change, the sources are not: the fingerprint is
taken of the source space (positions and parcels), not of the sensors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from majorant.errors import DamagedFile, MajorantError
from majorant.geometry import SourceGeometry

FASTEST = 1e5
"""Hz; no amplifier is faster, and data would be resampled to it."""


@dataclass(frozen=True)
class Card:
    """What is said of a set of weights.

    Attributes
    ----------
    name : str
        Solver the weights belong to, ``"mm-net"`` or ``"r-mm-net"``.
    settings : dict
        Sizes and rules of the network.
    source_space : str
        Fingerprint of the sources they were trained on; see
        :class:`majorant.geometry.SourceGeometry`.
    sfreq : float
        Sampling rate of the networks, Hz; data are resampled to it and back.
    recipe : dict
        How they were trained.
    metrics : dict
        What they reached, on what, by which command.
    versions : dict
        Of the packages they were made with.
    sha256 : str
        Of the tensors, see :func:`majorant.weights.store.tensor_hash`.
    """

    name: str
    settings: Mapping[str, Any]
    source_space: str
    sfreq: float
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], origin: str) -> Card:
        """Read a card; ``origin`` names the file in errors.

        Raises
        ------
        DamagedFile
            If entries are missing or of the wrong kind.
        """
        kinds = {"name": str, "settings": dict, "source_space": str, "sfreq": (int, float)}
        for key, kind in kinds.items():
            if not isinstance(values.get(key), kind):
                raise DamagedFile(
                    f"the card of {origin} has {values.get(key)!r} for {key!r}; the file is "
                    "damaged, or no card of weights: take it anew"
                )
        if isinstance(values["sfreq"], bool) or not 1.0 <= values["sfreq"] <= FASTEST:
            raise DamagedFile(
                f"the card of {origin} has a sampling rate of {values['sfreq']!r} Hz; expected 1 "
                f"to {FASTEST:g}: the file is damaged, so take it anew"
            )
        known = {f.name for f in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})

    def require(self, geometry: SourceGeometry | None) -> None:
        """Refuse other sources.

        Raises
        ------
        MajorantError
            If the sources are not those of the training, or it is not known what they are.
        """
        if geometry is None:
            raise MajorantError(
                f"{self.name} knows its sources by number, and nothing says what the columns of "
                "this operator are; make it from a lead field, as Leadfield.operator() does, or "
                "give MatrixOperator(..., geometry=)"
            )
        if geometry.fingerprint != self.source_space:
            raise MajorantError(
                f"{self.name} was trained on the source space {self.source_space[:12]} and this "
                f"lead field has {geometry.fingerprint[:12]} ({geometry.n_locations} "
                f"{geometry.kind}); image on the template's 994 regions, or train on this lead "
                "field"
            )
