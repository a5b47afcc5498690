"""Which head, and which guard: candidates on photographers that they have not seen, and what can be told apart.

    python benchmarks/choose.py --data ../shared/data --cache .cache/outputs

Photos: train and val of `waste8`, and `more` (ten photographers and Garbage Dataset's glass and textiles). Features are
those of the shipped network, computed once. Two ways to hold photos back: grouped 5-fold cross-validation over all
sources, with three seeds, and every source left out in turn. A candidate is a function: add one to `HEADS` or `GUARDS`.
The network itself has seen `train`, so candidates are told apart on `more`; on `train` all look better than they are.

Heads are compared with the first of them, photo by photo: the difference has a 95 % interval from 2,000 resamples of
groups, and a p-value (McNemar, exact, Holm over the table). A guard's threshold is set so that 91 % of `val` pass;
then every source of `more` shows what passes and how much of that is right. What was computed is kept in the cache.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.adapt.heads import Heads, read_heads
from binsight.adapt.learning import Memory, learn
from binsight.bundle import CameraPhotos, Replay, load_bundle, make_replay, resolve_bundle
from binsight.dataset.duplicates import connected_groups
from binsight.evaluation.bootstrap import draw_weights
from binsight.evaluation.significance import adjust_holm, mcnemar_exact
from binsight.probability import softmax
from binsight.probability.folds import cross_fit_folds
from binsight.probability.unfamiliarity import energy
from cached_outputs import Table, load_table

SEEDS: Final = (0, 1, 2)
BURST: Final = 0.95  # cosine of features of one source, from which on two photos are one group
PASSING: Final = 0.91
FAMILIAR: Final = ("train", "val")
NONE: Final = -1
SHIPPED: Final = "shipped"

Fit = NDArray[np.intp]
Floats = NDArray[np.floating]


class Bench:
    """The photos, and the shipped network's heads."""

    def __init__(self, table: Table, model: str) -> None:
        bundle = load_bundle(resolve_bundle(model))
        self.table, self.temperature = table, bundle.manifest.temperature
        self.heads: Heads = read_heads(bundle.read_model())
        places = {name: i for i, name in enumerate(bundle.manifest.taxonomy.ids)}
        self.labels = np.array([places.get(str(label), NONE) for label in table.labels])
        self.groups = np.array(groups_of(table), np.intp)

    def replay(self, rows: Fit) -> Replay:
        """The replay of photos that were trained on."""
        features, labels = self.table.features[rows], self.labels[rows]
        return make_replay(features, labels, np.zeros(len(rows), bool), heads=self.heads.categories.weight)


def groups_of(table: Table) -> list[int]:
    """Photos of one source whose features are nearly the same are one group."""
    pairs: list[tuple[int, int]] = []
    for source in np.unique(table.sources):
        rows = np.flatnonzero(table.sources == source)
        unit = table.features[rows] / np.linalg.norm(table.features[rows], axis=1, keepdims=True)
        first, second = np.nonzero(np.triu(unit @ unit.T > BURST, 1))
        pairs += list(zip(rows[first].tolist(), rows[second].tolist(), strict=True))
    return connected_groups(len(table), pairs)


def shipped(bench: Bench, _fit: Fit, judge: Fit) -> Floats:
    """The heads in the package, which have seen `train`."""
    return bench.table.logits[judge]


def ridge(bench: Bench, fit: Fit, judge: Fit) -> Floats:
    """Least squares on the features, anew."""
    rows = fit[bench.labels[fit] != NONE]
    features = bench.table.features[rows]
    mean = features.mean(axis=0)
    centred = features - mean
    gram = centred.T @ centred
    gram[np.diag_indices(len(gram))] += 0.003 * np.trace(gram)
    targets = np.eye(len(bench.heads.categories.bias), dtype=np.float32)[bench.labels[rows]]
    weight = np.linalg.solve(gram, centred.T @ (targets - targets.mean(axis=0)))
    return (bench.table.features[judge] - mean) @ weight + targets.mean(axis=0)


def nearest_mean(bench: Bench, fit: Fit, judge: Fit) -> Floats:
    """Cosine to the mean of each class."""
    unit = bench.table.features / np.linalg.norm(bench.table.features, axis=1, keepdims=True)
    means = np.stack([unit[fit[bench.labels[fit] == c]].mean(axis=0) for c in range(8)])
    return unit[judge] @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T


def taught(bench: Bench, fit: Fit, judge: Fit, *, weight: float) -> Floats:
    """The shipped heads taught the photos of `more`, as `binsight adapt` does it."""
    familiar = np.isin(bench.table.splits, FAMILIAR)
    old, new = fit[familiar[fit]], fit[~familiar[fit]]
    known = np.arange(len(bench.heads.categories.bias), dtype=np.int64)
    memory = Memory.of(bench.replay(old), bench.heads.categories, known)
    photos = CameraPhotos(bench.table.features[new], bench.labels[new])
    return learn(memory, photos, np.ones(len(new)), camera_weight=weight).logits(bench.table.features[judge])


HEADS: Final[Mapping[str, Callable[[Bench, Fit, Fit], Floats]]] = {
    SHIPPED: shipped,
    "ridge": ridge,
    "nearest mean": nearest_mean,
    "taught, weight 1": lambda bench, fit, judge: taught(bench, fit, judge, weight=1),
    "taught, weight 10": lambda bench, fit, judge: taught(bench, fit, judge, weight=10),
}


def confidence(bench: Bench, rows: Fit) -> Floats:
    """1 minus the confidence."""
    return 1 - softmax(bench.table.logits[rows], temperature=bench.temperature).max(axis=1)


def mahalanobis(bench: Bench, rows: Fit) -> Floats:
    """Distance to the nearest class mean, by the covariance within classes of `train`."""
    train = np.flatnonzero(bench.table.splits == "train")
    replay = bench.replay(train)
    means = np.stack([replay.codes[replay.labels == c].mean(axis=0) for c in range(8)])
    within = replay.codes - means[replay.labels]
    values, vectors = np.linalg.eigh((within.T @ within / len(within)).astype(np.float64))
    whitener = vectors / np.sqrt(values + 0.1 * values.mean())
    white = ((bench.table.features[rows] - replay.mean) @ replay.basis) @ whitener
    return np.stack([np.square(white - mean @ whitener).sum(axis=1) for mean in means]).min(axis=0)


def neighbours(bench: Bench, rows: Fit, *, count: int = 10) -> Floats:
    """Minus the cosine to the tenth nearest photo of `train`."""
    unit = bench.table.features / np.linalg.norm(bench.table.features, axis=1, keepdims=True)
    cosines = unit[rows] @ unit[bench.table.splits == "train"].T
    return -np.partition(cosines, -count, axis=1)[:, -count]


def margin(bench: Bench, rows: Fit) -> Floats:
    """Cosine to the nearest photo of another class than the predicted one, less that to the nearest of that class."""
    unit = bench.table.features / np.linalg.norm(bench.table.features, axis=1, keepdims=True)
    train = bench.table.splits == "train"
    cosines = unit[rows] @ unit[train].T
    same = bench.labels[train][None] == bench.table.logits[rows].argmax(axis=1)[:, None]
    return np.where(same, -1, cosines).max(axis=1) - np.where(same, cosines, -1).max(axis=1)


GUARDS: Final[Mapping[str, Callable[[Bench, Fit], Floats]]] = {
    "confidence": confidence,
    "unfamiliarity of 1.2.0": lambda bench, rows: bench.table.unfamiliarity[rows],
    "energy": lambda bench, rows: energy(bench.table.logits[rows].astype(np.float64)),
    "Mahalanobis": mahalanobis,
    "10th neighbour": neighbours,
    "margin of neighbours": margin,
}
"""Larger is stranger. `main` adds the sum of all, by ranks."""


def main() -> None:
    """Compare heads, then guards."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with waste8/ and more/")
    parser.add_argument("--cache", type=Path, default=Path(".cache/outputs"))
    parser.add_argument("--model", default="waste8")
    arguments = parser.parse_args()
    bench = Bench(
        load_table(arguments.data, arguments.cache, ["train", "val", "more"], model=arguments.model), arguments.model
    )
    compare_guards(bench)
    compare_heads(bench, arguments.cache / "choose")


def compare_heads(bench: Bench, kept: Path) -> None:
    """Print each head's accuracy on `more`, by both ways of holding back, and how it differs from the shipped one."""
    kept.mkdir(parents=True, exist_ok=True)
    items = np.flatnonzero((bench.table.splits == "more") & (bench.labels != NONE))
    rights: dict[tuple[str, str], NDArray[np.bool_]] = {}
    for way, parts in (("folds", folds_of(bench)), ("source left out", sources_of(bench))):
        for name, head in HEADS.items():
            file = kept / f"{way}-{name}.npy".replace(" ", "-").replace(",", "")
            if not file.exists():
                np.save(file, judge_held_out(bench, head, parts))
            rights[way, name] = np.load(file)[:, items] >= 0.5
    tests = {
        (way, name): mcnemar_exact(right[0], rights[way, SHIPPED][0], bench.groups[items])
        for (way, name), right in rights.items()
        if name != SHIPPED
    }
    adjusted = dict(zip(tests, adjust_holm([test.p_value for test in tests.values()]), strict=True))
    print("| held back | head | right on `more` | difference to shipped | p | told apart |\n|---|---|---|---|---|---|")
    for (way, name), right in rights.items():
        gain = right.astype(float).mean(axis=0) - rights[way, SHIPPED].astype(float).mean(axis=0)
        low, high = bootstrap_mean(gain, bench.groups[items])
        p = adjusted.get((way, name))
        verdict = "" if p is None else "yes" if p < 0.05 and (low > 0 or high < 0) else "no"
        difference = "" if p is None else f"{gain.mean():+.1%} ({low:+.1%} to {high:+.1%})"
        print(f"| {way} | {name} | {right.mean():.1%} | {difference} | {'' if p is None else f'{p:.2g}'} | {verdict} |")
    print("\n| source left out | photos | " + " | ".join(HEADS) + " |\n" + "|---" * (len(HEADS) + 2) + "|")
    for source in np.unique(bench.table.sources[items]):
        rows = bench.table.sources[items] == source
        cells = [f"{rights['source left out', name][:, rows].mean():.1%}" for name in HEADS]
        print(f"| {source.removeprefix('more/')} | {rows.sum()} | {' | '.join(cells)} |")


def judge_held_out(
    bench: Bench, head: Callable[[Bench, Fit, Fit], Floats], parts: list[list[tuple[Fit, Fit]]]
) -> Floats:
    """Whether each photo was told rightly by a head that was not fitted on it: `(repeats, n)`, 0 or 1."""
    right = np.zeros((len(parts), len(bench.table)), np.float32)
    for repeat, pairs in enumerate(parts):
        for fit, judge in pairs:
            right[repeat, judge] = head(bench, fit, judge).argmax(axis=1) == bench.labels[judge]
    return right


def folds_of(bench: Bench) -> list[list[tuple[Fit, Fit]]]:
    """Grouped 5-fold cross-validation, once for each seed."""
    return [list(cross_fit_folds(bench.labels + 1, bench.groups, seed=seed)) for seed in SEEDS]


def sources_of(bench: Bench) -> list[list[tuple[Fit, Fit]]]:
    """Each source left out in turn; nothing in it depends on a seed."""
    sources = bench.table.sources
    held = [s for s in np.unique(sources) if s.startswith("more/")]
    return [[(np.flatnonzero(sources != s), np.flatnonzero(sources == s)) for s in held]]


def bootstrap_mean(values: Floats, groups: NDArray[np.intp]) -> tuple[float, float]:
    """The 95 % interval of a mean, groups drawn whole."""
    weights = draw_weights(groups, 2000, np.random.default_rng(0))
    low, high = np.percentile(weights @ values / weights.sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def compare_guards(bench: Bench) -> None:
    """Print for each guard what passes of every source of `more`, and how much of that is right."""
    val = np.flatnonzero(bench.table.splits == "val")
    more = np.flatnonzero(bench.table.splits == "more")
    scores = {name: (guard(bench, val), guard(bench, more)) for name, guard in GUARDS.items()}
    ranks = [
        tuple(np.searchsorted(np.sort(own), part) / len(own) for part in (own, other)) for own, other in scores.values()
    ]
    scores["all of them, summed"] = tuple(sum(-np.log(1.001 - r[i]) for r in ranks) for i in (0, 1))  # type: ignore[assignment]
    sources, right = bench.table.sources[more], bench.table.logits[more].argmax(axis=1) == bench.labels[more]
    names = [str(source) for source in np.unique(sources)]
    print("Passing at a threshold that passes 91 % of `val`, and right among these:\n")
    print("| guard | " + " | ".join(name.removeprefix("more/") for name in names) + " | empty places reviewed |")
    print("|---" * (len(names) + 2) + "|")
    for name, (own, other) in scores.items():
        passes = other <= np.quantile(own, PASSING)
        cells = [cell(passes[sources == source], right[sources == source]) for source in names]
        print(f"| {name} | {' | '.join(cells)} | {1 - passes[bench.table.labels[more] == 'not-waste'].mean():.0%} |")
    print()


def cell(passes: NDArray[np.bool_], right: NDArray[np.bool_]) -> str:
    """What passes, and what of it is right."""
    return f"{passes.mean():.0%}, {right[passes].mean():.0%}" if passes.any() else "0 %"


if __name__ == "__main__":
    main()
