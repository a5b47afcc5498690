r"""What teaching a camera is worth: every source of `more` as if it were a camera, by photos per class.

    python benchmarks/adapt.py --data ../shared/data --cache .cache/outputs --out docs/images/adapt-curve.png

From each source with two classes or more (`not-waste` is one; others are only judged before) so many photos per class
are drawn, at most half of a class, five times; the bundle is taught on them, and judged on the photos of that source
that were not drawn. `test` is the test split of `waste8`: what the taught model still knows. `--wrong 0.1` gives a
tenth of the drawn photos a wrong label, `--copies 3` shows every second one three times. With `--old val` half of the
photos that the bundle keeps to be judged by take no part in the lesson, and stand for `test`: how a lesson is taught is
chosen by these. `--no-views` teaches without photos mirrored and turned; `--than FILE` says how much better this is
than the same lessons there. A draw that was measured is not measured again, but read from the cache, `lessons-*.jsonl`.

Intervals are of 95 %, by the bootstrap over draws and over groups of near-copies (Owen 2007, The pigeonhole bootstrap);
Wilson's where all photos are right or none is.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.adapt.camera import MOST_TURNED, NOT_WASTE, extend_taxonomy
from binsight.adapt.heads import read_heads
from binsight.adapt.judging import fit_decisions
from binsight.adapt.teaching import scores_of, teach
from binsight.bundle import Bundle, CameraPhotos, Replay, load_bundle, read_calibration, read_replay, resolve_bundle
from binsight.evaluation.bootstrap import draw_weights
from binsight.evaluation.scoring import judge
from binsight.predictor import Outputs, Predictor
from binsight.probability.intervals import Interval, share_interval
from binsight.taxonomy import Taxonomy, WasteClass
from cached_outputs import Table, load_table, load_views
from choose import groups_of

SIZES: Final = (0, 3, 5, 10, 20, 40)
DRAWS: Final = 5
FEWEST_TO_DRAW: Final = 6  # half of them are left to judge by
NEW: Final = (
    WasteClass("glass", "Glass", biodegradable=False, stream="recycling"),
    WasteClass("textiles", "Textiles", biodegradable=False, stream="reuse"),
)
RESAMPLES: Final = 2000
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Spoiling:
    """What is wrong with a lesson: a share of wrong labels, and how often every second photo is shown."""

    wrong: float
    copies: int


def main() -> None:
    """Measure, print, plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with waste8/ and more/")
    parser.add_argument("--cache", type=Path, default=Path(".cache/outputs"))
    parser.add_argument("--model", default="waste8")
    parser.add_argument("--wrong", type=float, default=0.0, help="share of the drawn photos with a wrong label")
    parser.add_argument("--copies", type=int, default=1, help="how often every second drawn photo is shown")
    parser.add_argument("--no-views", action="store_true", help="teach without the photos mirrored and turned")
    parser.add_argument("--old", choices=["test", "val"], default="test", help="old photos to judge by")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--than", type=Path, help="lessons-*.jsonl of the same lessons to compare with")
    parser.add_argument("--out", type=Path, help="PNG of the curve")
    options = parser.parse_args()
    table = load_table(options.data, options.cache, ["more", options.old], model=options.model)
    bundle = load_bundle(resolve_bundle(options.model))
    kept = options.cache / f"lessons-{bundle.manifest.version}-{_teaching(options)}.jsonl"
    rows = read_rows(kept) if kept.exists() else []
    done = {(row["source"], row["size"], row["draw"]) for row in rows}
    more = table.take(table.splits == "more")
    old = table.take(table.splits == options.old)
    cameras = {source: more.take(more.sources == source) for source in sorted(set(more.sources.tolist()))}
    views: dict[str, NDArray[np.float32] | None] = {}
    for source, camera in cameras.items():
        views[source] = None
        if can_be_taught(camera) and not options.no_views:
            views[source] = load_views(options.data, options.cache, camera.paths.tolist(), model=options.model)
    spoiling = Spoiling(options.wrong, options.copies)
    for draw, size, source in product(range(options.draws), options.sizes, cameras):
        if (source, size, draw) in done or (draw and not size) or (size and not can_be_taught(cameras[source])):
            continue
        row = measure(bundle, cameras[source], views[source], old, size, draw, spoiling)
        rows.append(row | {"source": source, "size": size, "draw": draw})
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    wanted = [row for row in rows if row["size"] in {0, *options.sizes} and row["draw"] < options.draws]
    report = Report(wanted, cameras, old, read_rows(options.than) if options.than else [])
    report.print()
    if options.out:
        report.plot(options.out)


def _teaching(options: argparse.Namespace) -> str:
    """What is measured, as a name."""
    views = "-no-views" if options.no_views else ""
    return f"{options.old}-wrong{options.wrong:g}-copies{options.copies}{views}"


def measure(
    bundle: Bundle,
    camera: Table,
    views: NDArray[np.float32] | None,
    old: Table,
    size: int,
    draw: int,
    spoiling: Spoiling,
) -> Row:
    """Teach the bundle `size` photos per class of a camera, and judge it on the others and on old photos."""
    taxonomy = extend_taxonomy(bundle.manifest.taxonomy, [c for c in NEW if c.id in set(camera.labels.tolist())])
    rng = np.random.default_rng([draw, size])
    names = sorted(set(camera.labels.tolist()))
    drawn = np.concatenate(
        [
            rng.permutation(rows)[: min(size, len(rows) // 2)]
            for n in names
            if len(rows := where(camera, n)) >= FEWEST_TO_DRAW
        ]
    ).astype(np.intp)
    rest = np.setdiff1d(np.arange(len(camera)), drawn)
    if not size:
        return before(bundle, camera, old)
    labels = numbers(camera.labels, taxonomy)[drawn]
    for i in rng.permutation(len(drawn))[: round(spoiling.wrong * len(drawn))]:
        labels[i] = rng.choice([label for label in np.unique(labels) if label != labels[i]])
    shown = np.repeat(np.arange(len(drawn)), np.where(np.arange(len(drawn)) % 2, spoiling.copies, 1))
    heads, replay, record = read_heads(bundle.read_model()), read_replay(bundle), read_calibration(bundle)
    if replay is None or record is None:
        raise SystemExit("the bundle has no replay; binsight train writes one")
    known, judges = CameraPhotos(old.features, numbers(old.labels, taxonomy)), np.arange(len(old))
    if set(old.splits.tolist()) == {"val"}:
        replay, known, judges = without_half(replay, draw % 2)
    lesson = CameraPhotos(camera.features[drawn], labels).take(shown)
    turned = None if views is None or len(drawn) > MOST_TURNED * len(np.unique(labels)) else views[drawn][shown]
    taught = teach(heads, replay, taxonomy, lesson, shown, turned)
    fitted = fit_decisions(taught.left_out, taught.known, record.targets)
    found: Row = {"weight": taught.camera_weight, "photos": len(drawn)}
    others = CameraPhotos(camera.features[rest], numbers(camera.labels[rest], taxonomy))
    for name, photos, places, count in (("camera", others, rest, len(camera)), ("old", known, judges, len(old))):
        scores = scores_of(taught.heads, taxonomy, photos)
        found[name] = marks(scores.correct(), judge(scores, fitted).accepted, places, count)
    return found


def marks(correct: NDArray[np.bool_], accepted: NDArray[np.bool_], places: NDArray[np.intp], count: int) -> str:
    """One mark for each of `count` photos: 0 to 3 for right (1) and accepted (2), `-` for those not judged."""
    found = np.full(count, "-")
    found[places] = (correct + 2 * accepted).astype(str)
    return "".join(found.tolist())


def without_half(replay: Replay, half: int) -> tuple[Replay, CameraPhotos, NDArray[np.intp]]:
    """The replay without every second of the photos that it keeps to judge by, these, and which of those they are."""
    judges = np.arange(replay.held.sum())[half::2]
    spared = np.flatnonzero(replay.held)[judges]
    rest = np.setdiff1d(np.arange(len(replay.labels)), spared)
    photos = CameraPhotos(replay.mean + replay.codes[spared] @ replay.basis.T, replay.labels[spared])
    return replace(replay, codes=replay.codes[rest], labels=replay.labels[rest], held=replay.held[rest]), photos, judges


def can_be_taught(camera: Table) -> bool:
    """Whether two classes or more, not-waste among them, have photos to draw and to judge by."""
    enough = [name for name in set(camera.labels.tolist()) if len(where(camera, name)) >= FEWEST_TO_DRAW]
    return len(enough) > 1 and set(enough) != {NOT_WASTE}


def before(bundle: Bundle, camera: Table, old: Table) -> Row:
    """The shipped bundle, as its predictor decides."""
    predictor = Predictor(bundle, threads=1)
    found: Row = {}
    for name, photos in (("camera", camera), ("old", old)):
        outputs = Outputs(
            photos.logits, photos.biodegradable[:, None], unfamiliarity=photos.unfamiliarity[:, None]
        )  # fmt: skip
        accepted = np.array([p.decision == "accept" for p in predictor.interpret(outputs)])
        labels = numbers(photos.labels, bundle.manifest.taxonomy)
        found[name] = marks(photos.logits.argmax(axis=1) == labels, accepted, np.arange(len(labels)), len(labels))
    return found


def numbers(labels: NDArray[np.str_], taxonomy: Taxonomy) -> NDArray[np.int64]:
    """Positions in the taxonomy; -1 for `not-waste`, -2 for a class that it does not have."""
    places = {name: i for i, name in enumerate(taxonomy.ids)} | {NOT_WASTE: -1}
    return np.array([places.get(str(label), -2) for label in labels], np.int64)


def where(camera: Table, name: str) -> NDArray[np.intp]:
    """The rows of a class."""
    return np.flatnonzero(camera.labels == name)


class Report:
    """What came of the lessons, with intervals."""

    def __init__(self, rows: list[Row], cameras: dict[str, Table], old: Table, than: list[Row]) -> None:
        self._sizes = sorted({row["size"] for row in rows})
        self._draws: dict[tuple[str, int], list[Row]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: (row["source"], row["size"])):
            self._draws[row["source"], row["size"]].append(row)
        self._than = {(row["source"], row["size"], row["draw"]): row for row in than}
        self._taught = [source for source, camera in cameras.items() if can_be_taught(camera)]
        self._places = {source: camera.labels != NOT_WASTE for source, camera in cameras.items()}
        self._groups = {source: np.array(groups_of(camera)) for source, camera in cameras.items()}
        self._old_groups = np.array(groups_of(old))

    def print(self) -> None:
        """Markdown: a table of the sources, one of their means, and what lessons cost, all and of new classes."""
        print("| source | photos per class | right | accepted | right among the accepted | empty places reviewed |")
        print("|---|---|---|---|---|---|")
        for (source, size), draws in self._draws.items():
            cells = [text(self.share(source, size, key)[0]) for key in ("right", "accepted", "precision", "reviewed")]
            spread = [np.mean([mark in "13" for mark in row["camera"] if mark != "-"]) for row in draws]
            lowest = f"; worst draw {100 * min(spread):.0f}" if len(draws) > 1 and self._places[source].all() else ""
            name = source.removeprefix("more/")
            print(f"| {name} | {size or 'before'} | {cells[0]}{lowest} | {' | '.join(cells[1:])} |")
        more = {"more": "more"} if self._than else {}
        columns = {"right": "right", "accepted": "accepted", "precision": "right among the accepted"} | more
        print(f"\n| mean of | photos per class | {' | '.join(columns.values())} |\n|---|---{'|---' * len(columns)}|")
        known = self._kinds()["known classes"]
        for sources, size in product((self._taught, known), self._sizes):
            cells = [text(self.mean(sources, size, key)) for key in columns]
            kind = "of known classes" if sources is known else "sources"
            print(f"| {len(sources)} {kind} | {size or 'before'} | {' | '.join(cells)} |")
        print("\n| lessons | photos per class | old photos right | points lost | by > 0.5 | accepted, right |")
        print("|---|---|---|---|---|---|")
        for name, sources in self._kinds().items():
            for size in self._sizes:
                print(f"| {name} | {size or 'before'} | {' | '.join(self._cost(sources, size))} |")

    def _kinds(self) -> dict[str, list[str]]:
        new = [source for source in self._taught if source == "more/gd"]
        return {"known classes": [s for s in self._taught if s not in new], "new classes": new}

    def _cost(self, sources: Sequence[str], size: int) -> list[str]:
        rows = [row for source in sources for row in self._draws[source, size]]
        first = read_marks([row for source in sources for row in self._draws[source, 0]][:1], "old")[0]
        told = read_marks(rows, "old")
        judged = told >= 0
        falls = np.where(judged, (first % 2) - (told % 2), 0)
        lost = falls.sum(axis=1) / judged.sum(axis=1)
        accepted = judged & (told >= 2)
        right = self.interval(judged & (told % 2 == 1), judged, self._old_groups)[0]
        fall = self.interval(falls, judged, self._old_groups)[0]
        sure = self.interval(told == 3, accepted, self._old_groups)[0]
        many = f"{(lost > 0.005).sum()} of {len(rows)}" if size else ""
        loss = f"{100 * fall.value:.2f} ({100 * fall.low:.2f} to {100 * fall.high:.2f})" if size else ""
        return [text(right), loss, many, f"{100 * accepted.sum() / judged.sum():.1f} %, {text(sure)}"]

    def share(self, source: str, size: int, key: str) -> tuple[Interval, NDArray[np.float64]]:
        """A share of a source's photos over all draws, and resamples of it."""
        rows, items, groups = self._draws[source, size], self._places[source], self._groups[source]
        told, seed = read_marks(rows, "camera"), list(self._groups).index(source)
        judged, accepted = told >= 0, told >= 2
        if key == "more":
            than = [self._than[place] for row in rows if (place := (source, size, row["draw"])) in self._than]
            bottom = judged & items & (len(than) == len(rows))
            gain = (told % 2) - (read_marks(than, "camera") % 2) if bottom.any() else np.zeros_like(told)
            return self.interval(np.where(bottom, gain, 0), bottom, groups, seed)
        top, bottom = {
            "right": (told % 2 == 1, items),
            "accepted": (accepted, items),
            "precision": (told == 3, accepted),
            "reviewed": (~accepted, ~items),
        }[key]
        bottom = judged & bottom
        return self.interval(bottom & top, bottom, groups, seed)

    def mean(self, sources: Sequence[str], size: int, key: str) -> Interval:
        """The mean of sources; of those that have such photos."""
        found = [self.share(source, size, key) for source in sources]
        told = [(share.value, drawn) for share, drawn in found if np.isfinite(share.value)]
        if not told:
            return Interval(np.nan, np.nan, np.nan)
        low, high = np.nanpercentile(np.nanmean([drawn for _, drawn in told], axis=0), [2.5, 97.5])
        return Interval(float(np.mean([value for value, _ in told])), float(low), float(high))

    def interval(
        self, top: NDArray[Any], bottom: NDArray[np.bool_], groups: NDArray[np.intp], seed: int = 0
    ) -> tuple[Interval, NDArray[np.float64]]:
        """`sum(top) / sum(bottom)` of `(draws, photos)`, and resamples of draws and of groups."""
        if not bottom.any():
            return Interval(np.nan, np.nan, np.nan), np.full(RESAMPLES, np.nan)
        rng = np.random.default_rng(seed)
        draws, photos = draw_weights(np.arange(len(top)), RESAMPLES, rng), draw_weights(groups, RESAMPLES, rng)
        with np.errstate(invalid="ignore"):
            drawn = ((draws @ top) * photos).sum(axis=1) / ((draws @ bottom) * photos).sum(axis=1)
        value = float(top.sum() / bottom.sum())
        if value in (0.0, 1.0) and top.dtype == bool:
            some = bottom.any(axis=0)
            return share_interval(np.full(some.sum(), bool(value)), groups[some]), drawn
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        return Interval(value, float(low), float(high)), drawn

    def plot(self, out: Path) -> None:
        """Accuracy on the camera against photos per class, and the mean of all."""
        import matplotlib as mpl  # noqa: PLC0415 - only for the picture

        mpl.use("Agg")
        from matplotlib import pyplot as plt  # noqa: PLC0415

        figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
        at = range(len(self._sizes))
        for source in self._taught:
            shares = [self.share(source, size, "right")[0] for size in self._sizes]
            (line,) = axes.plot(at, [s.value for s in shares], marker="o", ms=4, label=source.removeprefix("more/"))
            axes.fill_between(at, [s.low for s in shares], [s.high for s in shares], alpha=0.12, color=line.get_color())
        means = [self.mean(self._taught, size, "right") for size in self._sizes]
        axes.plot(at, [m.value for m in means], color="black", lw=2.5, label=f"mean of the {len(self._taught)}")
        axes.set_xticks(at, [str(size) if size else "before" for size in self._sizes])
        axes.set_xlabel("photos per class that the camera was taught with")
        axes.set_ylabel("right on its other photos")
        axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, ncols=2, loc="lower right")
        figure.savefig(out, dpi=120)


def read_rows(file: Path) -> list[Row]:
    """What was measured before."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def read_marks(rows: Sequence[Row], name: str) -> NDArray[np.int64]:
    """`(rows, photos)`: 0 to 3 as written by `marks`, -1 for those not judged."""
    return np.array([[-1 if mark == "-" else int(mark) for mark in row[name]] for row in rows], np.int64)


def text(share: Interval) -> str:
    """A share with its interval; nothing where there is none."""
    value, low, high = (100 * part for part in (share.value, share.low, share.high))
    return f"{value:.1f} % ({low:.1f} to {high:.1f})" if np.isfinite(value) else ""


if __name__ == "__main__":
    main()
