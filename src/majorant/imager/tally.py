"""Many windows, one certificate: energies are averaged, counts summed, the worst status kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from majorant.problem import Certificate, Solution, Status
from majorant.solvers.windows import worst_status

__all__ = ["Tally"]

WORDS = ("energy_name", "bound", "kind", "guard", "state")
"""What a certificate says in words."""

ENDS = ("gradient", "stationarity", "gap")
"""What a certificate says of the end; of many windows the worst is kept."""


class Tally:
    """Adds up the certificates of windows.

    Attributes
    ----------
    windows : int
        How many were added.
    """

    def __init__(self) -> None:
        self.windows = 0
        self._energy = torch.zeros(1, dtype=torch.float64)
        self._last: Certificate | None = None
        self._counts = torch.zeros(4, dtype=torch.int64)
        self._residual = 0.0
        self._ends: dict[str, float] = {}
        self._status: Status | None = None
        self._unit = "Am"

    def add(self, certificate: Certificate, status: tuple[Status, ...], unit: str) -> None:
        """Add a batch of windows."""
        rows = certificate.energy.to(torch.float64).sum(1)
        self._energy = _added(self._energy, rows) if self.windows else rows
        self.windows += len(status)
        counts = (
            certificate.violations,
            certificate.refused,
            certificate.halvings,
            certificate.fallbacks,
        )
        self._counts += torch.stack([count.sum().cpu() for count in counts])
        if certificate.residual is not None:
            self._residual = max(self._residual, float(certificate.residual.max()))
        for name in ENDS:
            value = getattr(certificate, name)
            if value is not None:
                self._ends[name] = max(self._ends.get(name, 0.0), float(value.max()))
        own = worst_status(status)
        self._status = own if self._status is None else worst_status((self._status, own))
        self._last, self._unit = certificate, unit

    def record(self) -> dict[str, Any]:
        """All of it as plain values, ready for JSON."""
        last = self._last
        return {
            "windows": self.windows,
            "energy": self._energy.tolist(),
            "counts": self._counts.tolist(),
            "residual": None if last is None or last.residual is None else self._residual,
            "status": None if self._status is None else self._status.value,
            "unit": self._unit,
            "words": None if last is None else {name: getattr(last, name) for name in WORDS},
            "ends": dict(self._ends),
        }

    def restore(self, held: Mapping[str, Any]) -> None:
        """Go on from what :meth:`record` said.

        Raises
        ------
        KeyError, ValueError, TypeError
            If it is none.
        """
        self.windows = int(held["windows"])
        self._energy = torch.tensor(held["energy"], dtype=torch.float64)
        self._counts = torch.tensor(held["counts"], dtype=torch.int64)
        self._residual = float(held["residual"] or 0.0)
        self._status = None if held["status"] is None else Status(held["status"])
        self._unit = str(held["unit"])
        self._ends = {str(name): float(own) for name, own in held.get("ends", {}).items()}
        if held["words"] is not None:
            none = torch.zeros(1, dtype=torch.int64)
            residual = None if held["residual"] is None else torch.tensor([self._residual])
            self._last = Certificate(
                self._energy[:, None], none, none, none, none, **held["words"], residual=residual
            )

    def add_solution(self, solution: Solution) -> None:
        """Add a batch of windows that were solved."""
        self.add(solution.certificate, solution.status, solution.unit)

    @property
    def status(self) -> Status:
        """The status of the window that ended worst."""
        return Status.NO_DATA if self._status is None else self._status

    @property
    def unit(self) -> str:
        """Unit of the estimates."""
        return self._unit

    def certificate(self) -> Certificate | None:
        """One certificate for all windows so far; None before the first."""
        last = self._last
        if last is None:
            return None
        violations, refused, halvings, fallbacks = (count[None] for count in self._counts.clone())
        residual = None if last.residual is None else torch.tensor([self._residual])
        ends = {name: torch.tensor([value]) for name, value in self._ends.items()}
        return replace(
            last,
            energy=(self._energy / self.windows)[:, None],
            violations=violations,
            refused=refused,
            halvings=halvings,
            fallbacks=fallbacks,
            residual=residual,
            windows=self.windows,
            **ends,
        )


def _added(total: Tensor, rows: Tensor) -> Tensor:
    """Sum energies; who has stopped earlier stays at its last energy."""
    length = max(len(total), len(rows))
    return sum(
        (torch.cat([part, part[-1:].expand(length - len(part))]) for part in (total, rows)),
        torch.zeros(length, dtype=torch.float64),
    )
