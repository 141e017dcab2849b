"""One recording, one task: here, on local processes, or on a dask cluster that is there already.

A worker that dies takes no more with it than the recording it was at; dask gives that to another
one, three times at most, for a recording may be what kills it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from majorant.bids.dataset import Item
from majorant.bids.study import RecordingOutcome, Study, image_item
from majorant.errors import MajorantError

__all__ = ["outcomes", "spread_over"]

LARGE = 1_000_000
"""Bytes from which on an argument is sent to the workers once, for all calls."""
PATIENCE = 10.0
"""Seconds to find a scheduler."""


def outcomes(
    items: Sequence[Item], study: Study, jobs: int = 1, address: str | None = None
) -> Iterator[RecordingOutcome]:
    """Image recordings and hand out how they ended, in the order in which they do.

    Parameters
    ----------
    items : sequence of Item
    study : Study
    jobs : int
        Local processes; 1 works in this one.
    address : str or None
        Of a dask scheduler whose workers see the same files.

    Raises
    ------
    MajorantError
        If dask is missing, or there is no scheduler at the address.
    """
    if address is None and min(jobs, len(items)) <= 1:
        for item in items:
            yield image_item(item, study)
        return
    _dask()
    from distributed import as_completed

    with ExitStack() as stack:
        client = _client(stack, min(jobs, len(items)), address)
        # Impure: the same recording given again is to be imaged again.
        futures = {client.submit(image_item, item, study, pure=False): item for item in items}
        for future in as_completed(futures, raise_errors=False):
            yield _ended(future, futures[future])


@contextmanager
def spread_over(jobs: int = 1, address: str | None = None) -> Iterator[Callable[..., Any] | None]:
    """Provide what calls a function with each of some arguments at once; None where it is one job.

    Parameters
    ----------
    jobs : int
        Local processes.
    address : str or None
        Of a dask scheduler, in place of local processes.

    Yields
    ------
    callable or None
        Takes a function and a sequence of tuples of arguments, and returns the results in order.

    Raises
    ------
    MajorantError
        If dask is missing, or there is no scheduler at the address.
    """
    if address is None and jobs <= 1:
        yield None
        return
    _dask()
    with ExitStack() as stack:
        client = _client(stack, jobs, address)

        def call(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
            # What all calls share, such as the data, travels once.
            sent = {id(one): client.scatter(one) for own in arguments for one in own if _large(one)}
            return client.gather(
                [
                    client.submit(function, *(sent.get(id(one), one) for one in own), pure=False)
                    for own in arguments
                ]
            )

        yield call


def _large(value: Any) -> bool:
    return getattr(value, "nbytes", 0) > LARGE


def _dask() -> None:
    """Refuse to go on without dask."""
    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        raise MajorantError(
            "several processes need dask, which is not installed: pip install 'majorant[cluster]'"
        ) from error


def _client(stack: ExitStack, jobs: int, address: str | None) -> Any:
    from distributed import Client, LocalCluster
    from distributed.system import MEMORY_LIMIT

    if address is None:
        threads = str(max(1, (os.cpu_count() or 1) // jobs))
        no_dashboard: Any = None
        cluster = LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            memory_limit=MEMORY_LIMIT // jobs,
            dashboard_address=no_dashboard,
            silence_logs=logging.CRITICAL,
            env={"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        )
        return stack.enter_context(Client(stack.enter_context(cluster)))
    try:
        return stack.enter_context(Client(address, timeout=PATIENCE))
    except (OSError, ValueError) as error:
        raise MajorantError(
            f"there is no dask scheduler at {address} ({' '.join(str(error).split())[:120]}); "
            "start one with `dask scheduler`, or take --jobs instead"
        ) from error


def _ended(future: Any, item: Item) -> RecordingOutcome:
    """The outcome of a task, also where the task itself could not end."""
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    if future.status != "error":
        return RecordingOutcome(
            item.key, failure="the cluster was lost; give the same command to go on"
        )
    error = future.exception()
    if isinstance(error, KilledWorker):
        return RecordingOutcome(
            item.key,
            failure="every worker that took it died, most often for want of memory; give fewer "
            "--jobs, or more memory",
        )
    what = " ".join(str(error).split())[:300]
    return RecordingOutcome(
        item.key, failure=f"unforeseen {type(error).__name__} on the worker: {what}"
    )
