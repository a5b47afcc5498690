r"""What teaching a camera is worth: every source of `more` as if it were a camera, by photos per class.

    python benchmarks/adapt.py --data ../shared/data --cache .cache/outputs --out docs/images/adapt-curve.png

From each source with two classes or more (`not-waste` is one; others are only judged before) so many photos per class
are drawn, at most half of a class, five times; the shipped bundle is taught on them, and judged on the photos of that
source that were not drawn. `test` is the test split of `waste8`: what the taught model still knows. `--wrong 0.1` gives
a tenth of the drawn photos a wrong label. With `--old val` half of the photos that the bundle keeps to be judged by
take no part in the lesson, and stand for `test`: how a lesson is taught is chosen by these. A draw that was measured is
not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.adapt.camera import NOT_WASTE, extend_taxonomy
from binsight.adapt.heads import read_heads
from binsight.adapt.judging import fit_decisions
from binsight.adapt.teaching import scores_of, teach
from binsight.bundle import Bundle, CameraPhotos, Replay, load_bundle, read_calibration, read_replay, resolve_bundle
from binsight.evaluation.scoring import judge
from binsight.predictor import Outputs, Predictor
from binsight.taxonomy import Taxonomy, WasteClass
from cached_outputs import Table, load_table

SIZES: Final = (0, 3, 5, 10, 20, 40)
DRAWS: Final = 5
FEWEST_TO_DRAW: Final = 6  # half of them are left to judge by
NEW: Final = (
    WasteClass("glass", "Glass", biodegradable=False, stream="recycling"),
    WasteClass("textiles", "Textiles", biodegradable=False, stream="reuse"),
)
Row = dict[str, Any]


def main() -> None:
    """Measure, print, plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with waste8/ and more/")
    parser.add_argument("--cache", type=Path, default=Path(".cache/outputs"))
    parser.add_argument("--model", default="waste8")
    parser.add_argument("--wrong", type=float, default=0.0, help="share of the drawn photos with a wrong label")
    parser.add_argument("--old", choices=["test", "val"], default="test", help="old photos to judge by")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--out", type=Path, help="PNG of the curve")
    arguments = parser.parse_args()
    table = load_table(arguments.data, arguments.cache, ["more", arguments.old], model=arguments.model)
    bundle = load_bundle(resolve_bundle(arguments.model))
    kept = arguments.cache / f"adapt-{bundle.manifest.version}-{arguments.old}-wrong{arguments.wrong:g}.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    done = {(row["source"], row["size"], row["draw"]) for row in rows}
    more = table.take(table.splits == "more")
    old = table.take(table.splits == arguments.old)
    cameras = {source: more.take(more.sources == source) for source in sorted(set(more.sources.tolist()))}
    for draw, size, source in product(range(arguments.draws), arguments.sizes, cameras):
        if (source, size, draw) in done or (draw and not size) or (size and not can_be_taught(cameras[source])):
            continue
        row = measure(bundle, cameras[source], old, size, draw, arguments.wrong)
        rows.append(row | {"source": source, "size": size, "draw": draw})
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    wanted = [row for row in rows if row["size"] in arguments.sizes]
    report(wanted)
    if arguments.out:
        plot(wanted, arguments.out)


def measure(bundle: Bundle, camera: Table, old: Table, size: int, draw: int, wrong: float) -> Row:
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
    for i in rng.permutation(len(drawn))[: round(wrong * len(drawn))]:
        labels[i] = rng.choice([label for label in np.unique(labels) if label != labels[i]])
    heads, replay, record = read_heads(bundle.read_model()), read_replay(bundle), read_calibration(bundle)
    if replay is None or record is None:
        raise SystemExit("the bundle has no replay; binsight train writes one")
    known = CameraPhotos(old.features, numbers(old.labels, taxonomy))
    if set(old.splits.tolist()) == {"val"}:
        replay, known = without_half(replay, draw % 2)
    taught = teach(heads, replay, taxonomy, CameraPhotos(camera.features[drawn], labels), np.arange(len(drawn)))
    fitted = fit_decisions(taught.left_out, taught.known, record.targets)
    found: Row = {}
    others = CameraPhotos(camera.features[rest], numbers(camera.labels[rest], taxonomy))
    for name, photos in (("camera", others), ("test", known)):
        scores = scores_of(taught.heads, taxonomy, photos)
        accepted, _ = judge(scores, fitted)
        found |= shares(name, scores.labels, scores.correct(), accepted)
    left_out = taught.left_out.correct()[taught.left_out.labels >= 0]
    return found | {"cross_validated": float(left_out.mean()), "photos": len(drawn), "weight": taught.camera_weight}


def without_half(replay: Replay, half: int) -> tuple[Replay, CameraPhotos]:
    """The replay without every second of the photos that it keeps to judge by, and these."""
    spared = np.flatnonzero(replay.held)[half::2]
    rest = np.setdiff1d(np.arange(len(replay.labels)), spared)
    photos = CameraPhotos(replay.mean + replay.codes[spared] @ replay.basis.T, replay.labels[spared])
    return replace(replay, codes=replay.codes[rest], labels=replay.labels[rest], held=replay.held[rest]), photos


def can_be_taught(camera: Table) -> bool:
    """Whether two classes or more, not-waste among them, have photos to draw and to judge by."""
    enough = [name for name in set(camera.labels.tolist()) if len(where(camera, name)) >= FEWEST_TO_DRAW]
    return len(enough) > 1 and set(enough) != {NOT_WASTE}


def before(bundle: Bundle, camera: Table, old: Table) -> Row:
    """The shipped bundle, as its predictor decides."""
    predictor = Predictor(bundle, threads=1)
    found: Row = {}
    for name, photos in (("camera", camera), ("test", old)):
        outputs = Outputs(
            photos.logits, photos.biodegradable[:, None], unfamiliarity=photos.unfamiliarity[:, None]
        )  # fmt: skip
        accepted = np.array([p.decision == "accept" for p in predictor.interpret(outputs)])
        labels = numbers(photos.labels, bundle.manifest.taxonomy)
        found |= shares(name, labels, photos.logits.argmax(axis=1) == labels, accepted)
    return found


def shares(name: str, labels: NDArray[np.int64], correct: NDArray[np.bool_], accepted: NDArray[np.bool_]) -> Row:
    """Right and accepted items, right ones among all accepted, and empty places that are reviewed."""
    items = labels != -1
    return {
        f"{name}_right": float(correct[items].mean()),
        f"{name}_accepted": float(accepted[items].mean()),
        f"{name}_accepted_right": float(correct[accepted].mean()) if accepted.any() else None,
        f"{name}_empty_reviewed": None if items.all() else float(1 - accepted[~items].mean()),
    }


def numbers(labels: NDArray[np.str_], taxonomy: Taxonomy) -> NDArray[np.int64]:
    """Positions in the taxonomy; -1 for `not-waste`, -2 for a class that it does not have."""
    places = {name: i for i, name in enumerate(taxonomy.ids)} | {NOT_WASTE: -1}
    return np.array([places.get(str(label), -2) for label in labels], np.int64)


def where(camera: Table, name: str) -> NDArray[np.intp]:
    """The rows of a class."""
    return np.flatnonzero(camera.labels == name)


def report(rows: list[Row]) -> None:
    """A Markdown table: the mean over the draws, and the lowest and highest of them."""
    print("| source | photos per class | right | accepted | right among the accepted | empty places reviewed | test |")
    print("|---|---|---|---|---|---|---|")
    for (source, size), draws in grouped(rows).items():
        cells = [spread(draws, f"camera_{key}") for key in ("right", "accepted", "accepted_right", "empty_reviewed")]
        first = f"| {source.removeprefix('more/')} | {size or 'before'}"
        print(f"{first} | {' | '.join(cells)} | {spread(draws, 'test_right')} |")
    for size in sorted({row["size"] for row in rows}):
        taught = {row["source"] for row in rows if row["size"]}
        these = {key: draws for key, draws in grouped(rows).items() if key[1] == size and key[0] in taught}
        means = [np.mean([d["camera_right"] for d in draws]) for draws in these.values()]
        accepted = [d["camera_accepted_right"] for draws in these.values() for d in draws]
        told = [value for value in accepted if value is not None]
        tests = [d["test_right"] for draws in these.values() for d in draws]
        right = f"{np.mean(means):.1%} right; {np.mean(told):.1%} of the accepted right"
        print(f"mean, {size} per class: {right}; test {np.mean(tests):.2%}, lowest {np.min(tests):.2%}")


def grouped(rows: list[Row]) -> dict[tuple[str, int], list[Row]]:
    """By source and size, in order."""
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["source"], row["size"])):
        found[row["source"], row["size"]].append(row)
    return found


def spread(draws: list[Row], key: str) -> str:
    """Mean, lowest and highest."""
    values = [row[key] for row in draws if row.get(key) is not None]
    if not values:
        return ""
    few = f" ({min(values):.0%} to {max(values):.0%})" if len(values) > 1 and key != "test_right" else ""
    return f"{np.mean(values):.1%}{few}"


def plot(rows: list[Row], out: Path) -> None:
    """Accuracy on the camera against photos per class."""
    import matplotlib as mpl  # noqa: PLC0415 - only for the picture

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    places = {size: i for i, size in enumerate(sorted({row["size"] for row in rows}))}
    for source in sorted({row["source"] for row in rows if row["size"]}):
        sizes = [size for (name, size) in grouped(rows) if name == source]
        values = [[d["camera_right"] for d in grouped(rows)[source, size]] for size in sizes]
        at = [places[size] for size in sizes]
        (line,) = axes.plot(at, [np.mean(v) for v in values], marker="o", label=source.removeprefix("more/"))
        axes.fill_between(at, [min(v) for v in values], [max(v) for v in values], alpha=0.12, color=line.get_color())
    axes.set_xticks(list(places.values()), [str(size) if size else "before" for size in places])
    axes.set_xlabel("photos per class that the camera was taught with")
    axes.set_ylabel("right on its other photos")
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, ncols=2, loc="lower right")
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    main()
