"""Who does the work: an engine is one method, `map`.

`local` runs processes of this machine, `ray` tasks of a cluster; array jobs (Kubernetes, Slurm, AWS Batch) run `local`
on each machine's own part of the shards (`part`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from binsight.errors import BinsightError

__all__ = ["Engine"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Applies a function to items in other processes; workers are kept from one `map` to the next."""

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | BinsightError]]:
        """Each item with what came of it, as soon as it is known.

        Args:
            function: of a module, so that other processes have it too.
            items: taken when there is a worker for them; may be very many.

        Yields:
            The item, and what the function gave or which `BinsightError` it raised; `WorkerDiedError` where the
            process ended. Other exceptions are faults of the program, and raised.
        """
