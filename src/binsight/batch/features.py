"""What `binsight features` has made of a job's photos, for a training that need not make it again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from binsight.batch.job import FOLDERS, Kind, open_job, opened_model
from binsight.batch.rows import decode_rows, read_summary
from binsight.errors import JobError
from binsight.predictor import Predictor

__all__ = ["JobFeatures"]


class JobFeatures:
    """The features of a job's photos, whether all of them are there or not.

    Args:
        address: of the job.

    Attributes:
        where: the job and its model, for messages.
        spec: how photos were prepared.

    Raises:
        JobError: there is no job, its model is not its own, or nothing has been made of its photos yet.
        StoreError: its store refuses.
    """

    def __init__(self, address: str) -> None:
        self._store, self._job = open_job(address)
        with opened_model(self._store, self._job) as bundle:
            self._predictor = Predictor(bundle, threads=1)
        self.where = f"{address}, of {bundle.label}"
        self.spec = self._predictor.spec
        if not self._names("features"):
            raise JobError(f"{address}: no features are there; make them: binsight features {address}")

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The features `(n, d)` that the job's model gives for prepared photos `(n, h, w, 3)`; None: it gives none."""
        return self._predictor.run(images, ["features"]).features

    def parts(self, *, mirrored: bool = False) -> Iterator[tuple[list[bytes], NDArray[np.float32]]]:
        """Of each file the SHA-256 of its photos and their features `(n, d)`, of mirror images if asked for.

        Raises:
            JobError: a file is damaged, or of another model.
            StoreError: the store refuses.
        """
        for name in self._names("mirrored" if mirrored else "features"):
            read_summary(self._store, name, self._job)  # or it is of another job
            table = decode_rows(self._store.read(name), f"{self._store.address}/{name}", ["sha256", "features"])
            table = table.filter(pc.is_valid(table["features"]))
            digests = [bytes.fromhex(digest) for digest in table["sha256"].to_pylist()]
            rows = table["features"].combine_chunks().flatten().to_numpy()
            yield digests, rows.reshape(len(digests), -1) if digests else rows.reshape(0, 1)

    def _names(self, kind: Kind) -> list[str]:
        entries = self._store.list(FOLDERS[kind])
        return [f"{FOLDERS[kind]}{entry.name}" for entry in entries if entry.name.endswith(".parquet")]
