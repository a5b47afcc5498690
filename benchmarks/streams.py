r"""What becomes of a strange camera's photos where its stream is noticed, and how often a familiar one seems strange.

    binsight train … --config recipes/waste8/waste8-1.3.toml --hold-out SOURCE,… --out held-out --no-evaluate-test
    python benchmarks/streams.py --decisions held-out.work/decisions.npz
    python benchmarks/streams.py --data ../shared/data --cache .cache/outputs

Decisions are of a network that has not seen the sources left out. Each of those is a camera: its photos, empty places
among them, come in random order, 200 times, and go through `binsight.predictor.StreamCheck`. *Stream* is a line or a
client of a server, where every photo is decided as it comes; *folder* is `binsight predict FOLDER`, which holds the
first 100. Familiar streams are drawn from `val`, and with --data from other splits, for the model as it is shipped: all
classes as they come, or one class.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Manifest, load_bundle, resolve_bundle
from binsight.predictor import Outputs, Prediction, Predictor, StreamCheck
from binsight.probability import Decision
from binsight.probability.intervals import wilson_interval
from cached_outputs import load_table

ORDERS: Final = 200
HELD: Final = 100  # as `binsight predict` holds results
LONG: Final = 1000  # photos of a familiar stream
FEWEST: Final = 20


@dataclass(frozen=True)
class Decisions:
    """What a network says of photos, and how it is fitted.

    Attributes:
        sources: `(n,)`; `val` and `test` are those splits.
        classes: `(n,)`.
        right: `(n,)`: the most probable class is that of the photo.
        accepted: `(n,)`, as a photo by itself.
        unfamiliarity: `(n,)`.
        median: of the unfamiliarity of `val`.
        limit: of the unfamiliarity, from which on a photo is reviewed.
    """

    sources: NDArray[np.str_]
    classes: NDArray[np.str_]
    right: NDArray[np.bool_]
    accepted: NDArray[np.bool_]
    unfamiliarity: NDArray[np.float64]
    median: float
    limit: float

    def stream(self, rows: NDArray[np.intp], manifest: Manifest) -> tuple[NDArray[np.bool_], int | None]:
        """Of photos in this order, before which the stream is strange; and with how many photos that was first so."""
        check = StreamCheck(self.manifest(manifest))
        photo = Prediction("x", {"x": 1.0}, "unknown", None, Decision("accept"), "", "", "", "")
        strange, first = np.zeros(len(rows), bool), None
        for at, row in enumerate(rows):
            verdict = Decision("accept") if self.accepted[row] else Decision("review", "low_confidence")
            check.add(replace(photo, verdict=verdict, unfamiliarity=float(self.unfamiliarity[row])))
            strange[at] = check.is_strange
            first = at + 1 if first is None and check.is_strange else first
        return strange, first

    def manifest(self, shipped: Manifest) -> Manifest:
        """A manifest that says how the network is fitted, for the check."""
        review = replace(shipped.review, unfamiliarity=self.limit)
        return replace(shipped, review=review, training={"unfamiliarity_median": self.median})


def main() -> None:
    """Print one table for each file of decisions, or for the shipped model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--decisions", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--data", type=Path, help="folder with waste8/")
    parser.add_argument("--cache", type=Path, default=Path(".cache/outputs"))
    parser.add_argument("--splits", nargs="+", default=["val"])
    arguments = parser.parse_args()
    manifest = load_bundle(resolve_bundle("waste8")).manifest
    for found in decisions(arguments):
        strangers = [name for name in np.unique(found.sources) if name not in {"val", "test"}]
        if strangers:
            print("| source | photos | alone: accepted, right | said at | stream | folder |")
            print("|---" * 6 + "|")
        for name in strangers:
            print_camera(found, name, manifest)
        print(
            "\n| familiar | stream | photos | look strange | called strange within 200 | within 1,000 |\n"
            + "|---" * 6
            + "|"
        )
        for split in sorted({"val", "test"} & set(found.sources.tolist())):
            print_familiar(found, split, manifest)


def decisions(arguments: argparse.Namespace) -> Iterator[Decisions]:
    """Those of the files, and of the shipped model."""
    for file in arguments.decisions:
        with np.load(file) as kept:
            arrays = {name: kept[name] for name in kept.files}
        yield Decisions(**arrays | {name: float(arrays[name]) for name in ("median", "limit")})
    if arguments.data:
        table = load_table(arguments.data, arguments.cache, arguments.splits)
        predictor = Predictor.load("waste8", threads=1)
        outputs = Outputs(table.logits, table.biodegradable[:, None], unfamiliarity=table.unfamiliarity[:, None])
        said = predictor.interpret(outputs)
        manifest = predictor.bundle.manifest
        yield Decisions(
            table.splits,
            table.labels,
            np.array([p.category for p in said]) == table.labels,
            np.array([p.decision == "accept" for p in said]),
            table.unfamiliarity.astype(np.float64),
            float(manifest.training["unfamiliarity_median"]),
            float(manifest.review.unfamiliarity or 0),
        )


def print_camera(found: Decisions, name: str, manifest: Manifest) -> None:
    """What is accepted of a source's photos, and how much of that is right: alone, and with the check."""
    rows, rng = np.flatnonzero(found.sources == name), np.random.default_rng(0)
    kept: dict[str, list[NDArray[np.intp]]] = {"stream": [], "folder": []}
    firsts = []
    for _ in range(ORDERS):
        order = rng.permutation(rows)
        strange, first = found.stream(order, manifest)
        firsts.append(len(rows) + 1 if first is None else first)
        open_to = found.accepted[order] & ~strange
        kept["stream"].append(order[open_to])
        held = first is not None and first <= HELD
        kept["folder"].append(order[open_to & ~(held & (np.arange(len(order)) < (first or 0)))])
    alone = cell(found.right[rows[found.accepted[rows]]], len(rows))
    told = np.mean(np.array(firsts) <= len(rows))
    when = f"{np.median(firsts):.0f}" if told == 1 else f"{told:.0%} of streams"
    cells = [cell(found.right[np.concatenate(part)], ORDERS * len(rows), ORDERS) for part in kept.values()]
    print(f"| {name.removeprefix('more/')} | {len(rows)} | {alone} | {when} | {' | '.join(cells)} |")


def cell(right: NDArray[np.bool_], photos: int, times: int = 1) -> str:
    """The share accepted, and of that the share that is right with its interval, as if measured once."""
    if not len(right):
        return "0 %"
    share = wilson_interval(right.sum() / times, len(right) / times)
    return f"{len(right) / photos:.1%}, {share.value:.1%} ({share.low:.0%} to {share.high:.0%})"


def print_familiar(found: Decisions, split: str, manifest: Manifest) -> None:
    """How often streams of photos drawn from a split, or from one of its classes, are called strange."""
    own, rng = found.sources == split, np.random.default_rng(0)
    streams = {"as they come": own} | {str(c): own & (found.classes == c) for c in np.unique(found.classes[own])}
    middle = (found.median + found.limit) / 2
    for name, some in streams.items():
        rows = np.flatnonzero(some)
        if len(rows) < FEWEST:
            continue
        firsts = [found.stream(rng.choice(rows, LONG), manifest)[1] or LONG + 1 for _ in range(ORDERS)]
        look = np.mean(~found.accepted[rows] | (found.unfamiliarity[rows] > middle))
        shares = [f"{np.mean(np.array(firsts) <= count):.1%}" for count in (200, LONG)]
        print(f"| {split} | {name} | {len(rows)} | {look:.0%} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
