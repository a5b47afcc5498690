r"""What becomes of a strange camera's photos where its stream is noticed, and how a familiar one fares.

    binsight train … --config recipes/waste8/waste8-1.3.toml --hold-out SOURCE,… --out held-out --no-evaluate-test
    python benchmarks/streams.py --decisions held-out.work/decisions.npz
    python benchmarks/streams.py --data ../shared/data --cache .cache/outputs --model waste8-1.2.0 --splits val more
    python benchmarks/streams.py --data ../shared/data --cache .cache/outputs --splits val test

Decisions are of a network that has not seen the sources left out. Each of those is a camera: its photos, empty places
among them, come in random order, 200 times, and go through `binsight.predictor.StreamCheck`. *Folder* is `binsight
predict FOLDER`, which holds the first 100; *watched* an unnamed client of a server, of which all is accepted until it
is strange; *new* a line or a named camera, of which nothing is accepted until it is familiar. Familiar streams are
drawn from `val`, or other splits: all classes as they come, or one class. `--risks` compares how sure one may be.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
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
FIRST: Final = (50, 200, LONG)
FEWEST: Final = 20
SPLITS: Final = {"val", "test"}
Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]


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
    right: Flags
    accepted: Flags
    unfamiliarity: NDArray[np.float64]
    median: float
    limit: float

    @cached_property
    def photos(self) -> list[Prediction]:
        """As the check takes them."""
        photo = Prediction("x", {"x": 1.0}, "unknown", None, Decision("accept"), "", "", "", "")
        verdicts = [Decision("accept") if one else Decision("review", "low_confidence") for one in self.accepted]
        return [
            replace(photo, verdict=verdict, unfamiliarity=float(u))
            for verdict, u in zip(verdicts, self.unfamiliarity, strict=True)
        ]

    def streams(self, orders: NDArray[np.intp], risk: float = 0.03) -> NDArray[np.str_]:
        """The states of new streams of `(k, n)` photos: `(k, n)`, as each photo is judged."""
        manifest, photos = self.manifest, self.photos
        states = np.empty(orders.shape, "<U8")
        for k, order in enumerate(orders):
            check = StreamCheck(manifest, is_new=True, risk=risk)
            for at, row in enumerate(order):
                check.add(photos[row])
                states[k, at] = check.state
        return states

    @cached_property
    def manifest(self) -> Manifest:
        """A manifest that says how the network is fitted, for the check."""
        shipped = load_bundle(resolve_bundle("waste8")).manifest
        review = replace(shipped.review, unfamiliarity=self.limit)
        return replace(shipped, review=review, training={"unfamiliarity_median": self.median})

    @property
    def strangers(self) -> list[str]:
        """The sources that were left out."""
        return [name for name in np.unique(self.sources) if name not in SPLITS]

    def usual(self) -> Iterator[tuple[str, str, Rows]]:
        """Familiar streams: of each split all photos, and those of each class."""
        for split in sorted(SPLITS & set(self.sources.tolist())):
            own = self.sources == split
            yield split, "as they come", np.flatnonzero(own)
            for name in np.unique(self.classes[own]):
                if np.sum(own & (self.classes == name)) >= FEWEST:
                    yield split, str(name), np.flatnonzero(own & (self.classes == name))


def main() -> None:
    """Print the tables of each file of decisions, or of a model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--decisions", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--data", type=Path, help="folder with waste8/ and more/")
    parser.add_argument("--cache", type=Path, default=Path(".cache/outputs"))
    parser.add_argument("--model", default="waste8")
    parser.add_argument("--splits", nargs="+", default=["val"])
    parser.add_argument("--risks", type=float, nargs="+", default=[], help="only compare these risks")
    arguments = parser.parse_args()
    for found in decisions(arguments):
        if arguments.risks:
            print_risks(found, arguments.risks)
            continue
        if found.strangers:
            print_cameras(found)
        print_familiar(found)


def decisions(arguments: argparse.Namespace) -> Iterator[Decisions]:
    """Those of the files, and of the model."""
    for file in arguments.decisions:
        with np.load(file) as kept:
            arrays = {name: kept[name] for name in kept.files}
        yield Decisions(**arrays | {name: float(arrays[name]) for name in ("median", "limit")})
    if arguments.data:
        table = load_table(arguments.data, arguments.cache, arguments.splits, model=arguments.model)
        predictor = Predictor.load(arguments.model, threads=1)
        outputs = Outputs(table.logits, table.biodegradable[:, None], unfamiliarity=table.unfamiliarity[:, None])
        said = predictor.interpret(outputs)
        manifest = predictor.bundle.manifest
        yield Decisions(
            np.where(table.splits == "more", table.sources, table.splits),
            table.labels,
            np.array([p.category for p in said]) == table.labels,
            np.array([p.decision == "accept" for p in said]),
            table.unfamiliarity.astype(np.float64),
            float(manifest.training["unfamiliarity_median"]),
            float(manifest.review.unfamiliarity or 0),
        )


def print_cameras(found: Decisions) -> None:
    """What is accepted of each source's photos, and how much of that is right, in their first photos and in all."""
    head("left out", "photos", "alone", "strange at", "familiar at", "folder", "watched", "new")
    for name in found.strangers:
        rows = np.flatnonzero(found.sources == name)
        orders = np.random.default_rng(0).permuted(np.tile(rows, (ORDERS, 1)), axis=1)
        states = found.streams(orders)
        strange, accepted = states == "strange", found.accepted[orders]
        at = np.arange(len(rows))
        held = strange[:, :HELD].any(axis=1)[:, None] & (at < first(strange)[:, None])
        when = [when_said(first(states == state), len(rows)) for state in ("strange", "familiar")]
        for count in (*(count for count in FIRST if count < len(rows)), len(rows)):
            kept = (accepted, accepted & ~strange & ~held, accepted & ~strange, accepted & (states == "familiar"))
            alone, folder, watched, new = (cell(found.right[orders], open_to, count) for open_to in kept)
            row(name.removeprefix("more/"), count, alone, *when, folder, watched, new)


def first(flags: Flags) -> NDArray[np.intp]:
    """Of `(k, n)` flags the first column that is set, for each row; n where none is."""
    return np.where(flags.any(axis=1), flags.argmax(axis=1), flags.shape[1])


def when_said(places: NDArray[np.intp], photos: int) -> str:
    """With which photo a state came, or in how many streams it came at all."""
    told = np.mean(places < photos)
    return f"{np.median(places) + 1:.0f}" if told == 1 else f"in {told:.1%}"


def cell(right: Flags, accepted: Flags, count: int) -> str:
    """The share accepted of the first photos, and of that the share that is right; its interval as if measured once."""
    right, accepted = right[:, :count], accepted[:, :count]
    if not accepted.any():
        return "0"
    share = wilson_interval((right & accepted).sum() / ORDERS, accepted.sum() / ORDERS)
    return f"{accepted.mean():.1%}, {share.value:.1%} ({share.low:.0%} to {share.high:.0%})"


def print_familiar(found: Decisions) -> None:
    """How often familiar streams are called strange, and when familiar; what a new one's start costs."""
    head(
        *("familiar", "stream", "photos", "look strange", "called strange in 200", "in 1,000"),
        *("familiar at: median, 95 %", "accepted of the first 50; were it not new", "of 200", "of 1,000"),
    )
    middle = (found.median + found.limit) / 2
    for split, stream, rows in found.usual():
        orders = np.random.default_rng(0).choice(rows, (ORDERS, LONG))
        states = found.streams(orders)
        look = np.mean(~found.accepted[rows] | (found.unfamiliarity[rows] > middle))
        called = [f"{(states[:, :count] == 'strange').any(axis=1).mean():.1%}" for count in (200, LONG)]
        accepted = found.accepted[orders]
        costs = [
            f"{(accepted & (states == 'familiar'))[:, :count].mean():.1%}, {accepted[:, :count].mean():.1%}"
            for count in FIRST
        ]
        row(split, stream, len(rows), f"{look:.0%}", *called, waits(states == "familiar"), *costs)


def print_risks(found: Decisions, risks: Sequence[float]) -> None:
    """What other certainties would give: all photos of each source, and how long familiar streams wait."""
    head("risk", "stream", "called familiar", "at: median, 95 %", "accepted, right", "of what would be accepted in 200")
    for risk in risks:
        for name in found.strangers:
            rows = np.flatnonzero(found.sources == name)
            orders = np.random.default_rng(0).permuted(np.tile(rows, (ORDERS, 1)), axis=1)
            familiar = found.streams(orders, risk) == "familiar"
            said = cell(found.right[orders], found.accepted[orders] & familiar, len(rows))
            row(f"{risk:g}", name.removeprefix("more/"), f"{familiar.any(axis=1).mean():.1%}", "", said, "")
        for split, stream, rows in found.usual():
            if split == "val":  # nothing is chosen by test
                orders = np.random.default_rng(0).choice(rows, (ORDERS, 200))
                familiar, accepted = found.streams(orders, risk) == "familiar", found.accepted[orders]
                share = (accepted & familiar).mean() / accepted.mean()
                row(f"{risk:g}", stream, f"{familiar.any(axis=1).mean():.1%}", waits(familiar), "", f"{share:.1%}")


def waits(familiar: Flags) -> str:
    """With which photo streams are called familiar: the median and what 95 % need."""
    places = first(familiar) + 1
    return f"{np.median(places):.0f}, {np.quantile(places, 0.95):.0f}"


def head(*names: str) -> None:
    """The head of a Markdown table."""
    print()
    row(*names)
    row(*["---"] * len(names))


def row(*cells: object) -> None:
    """A row of it."""
    print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
