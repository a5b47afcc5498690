"""How the search for near neighbours grows: time, memory and recall at 1,000, 10,000 and 100,000 synthetic embeddings.

    python benchmarks/near_duplicates.py
    python benchmarks/near_duplicates.py --sizes 1000 10000 --against faiss usearch pynndescent sklearn

The embeddings are clustered as those of photos are (one cluster for 50 vectors), and one in a hundred has a near twin
with a cosine of about 0.9. Recall is the share of those twins that is found. `--against` measures other libraries,
where they are installed, on the same vectors.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from binsight.dataset.duplicates.neighbours import CellIndex

WIDTH = 80  # of the descriptors that the search uses
NEIGHBOURS = 8
Pairs = set[tuple[int, int]]


def embeddings(count: int, seed: int = 0) -> tuple[NDArray[np.float32], Pairs]:
    """Unit vectors `(count, 80)` and the planted twins."""
    rng = np.random.default_rng(seed)
    twins = count // 100
    centres = rng.normal(size=(max(1, count // 50), WIDTH))
    base = unit(centres[rng.integers(0, len(centres), count - twins)] + rng.normal(size=(count - twins, WIDTH)))
    near = unit(base[:twins] + 0.054 * rng.normal(size=(twins, WIDTH)))
    return np.concatenate([base, near]), {(i, count - twins + i) for i in range(twins)}


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Each with length 1."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cells(vectors: NDArray[np.float32]) -> Pairs:
    """The project's own search."""
    found = CellIndex(vectors).search(vectors, k=NEIGHBOURS, threshold=0.7, first_row=0)
    return ordered(found.query, found.vector)


def sklearn(vectors: NDArray[np.float32]) -> Pairs:
    """Exact, in blocks."""
    from sklearn.neighbors import NearestNeighbors  # noqa: PLC0415

    index = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, metric="cosine", algorithm="brute", n_jobs=-1).fit(vectors)
    return from_table(index.kneighbors(vectors, return_distance=False))


def faiss(vectors: NDArray[np.float32]) -> Pairs:
    """HNSW of faiss with its usual parameters."""
    import faiss as library  # noqa: PLC0415

    index = library.IndexHNSWFlat(vectors.shape[1], 32, library.METRIC_INNER_PRODUCT)
    index.add(vectors)
    return from_table(index.search(vectors, NEIGHBOURS + 1)[1])


def usearch(vectors: NDArray[np.float32]) -> Pairs:
    """HNSW of usearch with its usual parameters."""
    from usearch.index import Index  # noqa: PLC0415

    index = Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
    index.add(np.arange(len(vectors)), vectors)
    return from_table(np.asarray(index.search(vectors, NEIGHBOURS + 1).keys, dtype=np.int64))


def pynndescent(vectors: NDArray[np.float32]) -> Pairs:
    """Nearest-neighbour descent."""
    from pynndescent import NNDescent  # noqa: PLC0415

    return from_table(NNDescent(vectors, metric="cosine", n_neighbors=NEIGHBOURS + 1).neighbor_graph[0])


def from_table(table: NDArray[np.int64]) -> Pairs:
    """Pairs from the neighbours of each vector."""
    return ordered(np.repeat(np.arange(len(table)), table.shape[1]), table.ravel())


def ordered(first: NDArray[np.int64], second: NDArray[np.int64]) -> Pairs:
    """Each pair once, the smaller number first."""
    return {(a, b) if a < b else (b, a) for a, b in zip(first.tolist(), second.tolist(), strict=True) if a != b}


def main() -> None:
    """Print one row per size and library."""
    others: dict[str, Callable[[NDArray[np.float32]], Pairs]] = {
        "faiss": faiss,
        "usearch": usearch,
        "pynndescent": pynndescent,
        "sklearn": sklearn,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--against", nargs="*", default=[], choices=list(others))
    arguments = parser.parse_args()
    print(f"{'search':<12}{'vectors':>9}{'seconds':>10}{'growth':>9}{'recall':>9}{'peak MB':>9}")
    for name in ("cells", *arguments.against):
        search, before = {"cells": cells, **others}[name], None
        for size in arguments.sizes:
            vectors, twins = embeddings(size)
            start = time.perf_counter()
            found = search(vectors)
            seconds = time.perf_counter() - start
            # n^growth: 2 would be quadratic.
            growth = "" if before is None else f"{np.log(seconds / before[1]) / np.log(size / before[0]):.2f}"
            before = (size, seconds)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            recall = len(found & twins) / len(twins)
            print(f"{name:<12}{size:>9,}{seconds:>10.2f}{growth:>9}{recall:>9.3f}{peak:>9.0f}", flush=True)


if __name__ == "__main__":
    main()
