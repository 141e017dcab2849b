"""Several processes that train one network: each takes its share of every batch.

Gradients are averaged over the processes with the weight of their samples, so a step is that of
the joined batch, to rounding. Any launcher that sets up ``torch.distributed`` will do;
:func:`launch` uses Lightning Fabric (the extra ``distributed``) for many devices and nodes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.problem import MajorantError

CPU = torch.device("cpu")


class Team(ABC):
    """The processes of a run.

    Attributes
    ----------
    rank, size : int
        This process and how many there are; process 0 writes files.
    """

    rank: int
    size: int

    def share(self, index: Tensor) -> Tensor:
        """Return the samples of a batch that this process takes."""
        return index[self.rank :: self.size]

    def weight(self, n_own: int, n_total: int) -> float:
        """Return the factor of this process's mean loss for the average to be the joined one."""
        return n_own * self.size / n_total

    @abstractmethod
    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over the processes, in place."""

    @abstractmethod
    def same(self, values: Sequence[float]) -> list[float]:
        """Return what process 0 found, on all of them."""


@dataclass(frozen=True)
class Alone(Team):
    """One process."""

    rank: int = 0
    size: int = 1

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Nothing to do."""

    def same(self, values: Sequence[float]) -> list[float]:
        """Nothing to do."""
        return list(values)


@dataclass(frozen=True)
class Processes(Team):
    """Processes of an initialised ``torch.distributed`` group.

    Attributes
    ----------
    rank, size : int
    device : torch.device
        Where messages are made.
    """

    rank: int
    size: int
    device: torch.device = CPU

    @classmethod
    def joined(cls, device: torch.device = CPU) -> Processes:
        """Return this process's place in the group.

        Raises
        ------
        MajorantError
            If no group was set up.
        """
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            raise MajorantError(
                "no process group is set up; start the run with a launcher of torch.distributed"
            )
        group = torch.distributed
        return cls(group.get_rank(), group.get_world_size(), device)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Sum over all processes and divide, in one message."""
        held = list(tensors)
        flat = torch.cat([t.reshape(-1) for t in held])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        for t, mean in zip(held, flat.split([t.numel() for t in held]), strict=True):
            t.copy_(mean.view_as(t))

    def same(self, values: Sequence[float]) -> list[float]:
        """Send the values of process 0 to all."""
        held = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(held, 0)
        return held.tolist()


def launch(devices: int, nodes: int = 1, accelerator: str = "auto") -> tuple[Team, torch.device]:
    """Start the processes of a run with Lightning Fabric and return this one's place and device.

    Parameters
    ----------
    devices : int
        Per node.
    nodes : int
    accelerator : str
        ``"cpu"``, ``"cuda"`` or ``"auto"``.

    Raises
    ------
    MajorantError
        If Fabric is not installed.
    """
    try:
        from lightning.fabric import Fabric
    except ImportError as error:
        raise MajorantError(
            "training on several devices needs Lightning Fabric; install majorant[distributed]"
        ) from error
    fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, strategy="ddp")
    fabric.launch()
    return Processes.joined(fabric.device), fabric.device
