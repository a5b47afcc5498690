"""Tasks of a Ray cluster: its scheduler, its machines; only `binsight` itself must be installed on them."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeVar

from binsight.errors import BinsightError, JobError, SettingsError, StoreError, WorkerDiedError
from binsight.extras import needs_extra
from binsight.system_errors import describe_os_error

__all__ = ["RayEngine"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2  # tasks for each core: one at work, one that waits to be
_PATIENCE_S = 10.0


class RayEngine:
    """See `Engine`. Leaving the block leaves the cluster.

    Args:
        address: of the cluster, as `ray://host:10001`, `host:6379`, or `auto` for that which runs here.
        workers: tasks at a time; by default as many as the cluster has cores, also those that are added meanwhile.

    Raises:
        SettingsError: it is no address of a cluster.
        StoreError: the cluster cannot be reached.
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        with needs_extra("--engine ray", "ray"):
            import ray  # noqa: PLC0415 - only this engine needs it
        _try_address(address)
        self._ray: Any = ray  # much of it says nothing of its types
        self._workers = workers
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except Exception as error:
            raise StoreError(f"cannot reach the Ray cluster at {address}: {_first_line(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | BinsightError]]:
        """See `Engine`."""
        # What dies is tried again by `run`, which knows when to divide it; Ray would try the same for ever.
        task = self._ray.remote(num_cpus=1, max_retries=0)(_apply)
        source = iter(items)
        waiting: dict[Any, Item] = {}
        while True:
            while len(waiting) < self._room() and (item := next(source, None)) is not None:
                waiting[task.remote(function, item)] = item
            if not waiting:
                return
            done, _ = self._ray.wait(list(waiting), num_returns=1)
            for reference in done:
                item = waiting.pop(reference)
                yield item, self._outcome(reference)

    def _room(self) -> int:
        return self._workers or max(1, _AHEAD * int(self._ray.cluster_resources().get("CPU", 1)))

    def _outcome(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, BinsightError):
                return error.cause
            if isinstance(error.cause, ModuleNotFoundError):
                raise JobError(
                    f"a node of the cluster lacks {error.cause.name}: pip install 'binsight[ray]' there"
                ) from error
            raise
        except errors.RayError as error:  # its process or its node is gone
            return WorkerDiedError(f"the worker ended: {_first_line(error)}")


def _try_address(address: str) -> None:
    """Fail at once where nobody listens: Ray would go on trying for minutes. Never start a cluster: `local` would."""
    if address == "auto":
        return
    found = re.fullmatch(r"(?:ray://)?\[?([^\]/]+?)\]?:(\d+)", address)
    if not found:
        raise SettingsError(f"--address {address}: expected ray://HOST:10001, HOST:6379 or auto")
    try:
        socket.create_connection((found[1], int(found[2])), _PATIENCE_S).close()
    except (OSError, OverflowError) as error:
        reason = describe_os_error(error, named=False) if isinstance(error, OSError) else error
        raise StoreError(f"cannot reach the Ray cluster at {address}: {reason}") from error


def _apply(function: Callable[[Item], Result], item: Item) -> Result:
    return function(item)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
