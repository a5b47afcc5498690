"""Make the mistakes that flatter a model, one at a time, and see whether the tests notice.

    python benchmarks/mutations.py                 # all of them
    python benchmarks/mutations.py --only ema copies
    python benchmarks/mutations.py --list

Each mutation is a snippet of a module and what takes its place. It is made in a temporary copy of the tree; then the
tests that should notice are run there. A mutation is killed when one of them fails, and survives when all pass. First
the same tests must pass without any mutation, else nothing can be said. The exit code is 0 when all are killed, 1 when
one survives, and 2 when one could not be tried: its snippet is no longer in the module once, or the tests did not run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_COPIED = ("src", "tests", "recipes", "benchmarks", "pyproject.toml")
_PASSED, _FAILED = 0, 1  # exit codes of pytest


@dataclass(frozen=True)
class Mutation:
    """A mistake.

    Attributes:
        name: a word or two.
        module: the file it is made in, below the root.
        snippet: the text that is replaced; it must occur in the file exactly once.
        mistake: what takes its place.
        tests: the tests that should notice.
    """

    name: str
    module: str
    snippet: str
    mistake: str
    tests: tuple[str, ...]

    def apply(self, tree: Path) -> str:
        """Make the mistake in a copy of the tree; gives what was in the file.

        Raises:
            LookupError: the snippet is not there once.
        """
        path = tree / self.module
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if (count := text.count(self.snippet)) != 1:
            raise LookupError(f"{self.name}: expected the snippet once in {self.module}, found it {count} times")
        path.write_text(text.replace(self.snippet, self.mistake), encoding="utf-8")
        return text


_TUNED = "tests/pipeline/test_tuned.py"
_FROZEN = "tests/pipeline/test_frozen.py"
_ASSEMBLED = "tests/pipeline/test_assemble.py"
_OTHERS = "tests/evaluation/test_out_of_sample.py"
MUTATIONS = (
    Mutation(
        "val judged by what was fitted on it",
        "src/binsight/pipeline/measure.py",
        "fitted = calibrate(scores.take(fit), labels[fit], targets, groups=None if groups is None else groups[fit])",
        "fitted = calibrate(scores, labels, targets, groups=groups)",
        (f"{_OTHERS}::test_no_photo_and_no_copy_of_it_fits_what_judges_it",),
    ),
    Mutation(
        "evaluate judges val by what was fitted on it",
        "src/binsight/evaluation/evaluate.py",
        "fitted = calibrate(scores.network.take(fit), seen.labels[fit], targets, groups=seen.copies[fit])",
        "fitted = calibrate(scores.network, seen.labels, targets, groups=seen.copies)",
        (f"{_ASSEMBLED}::test_evaluating_on_val_gives_the_figures_of_the_manifest",),
    ),
    Mutation(
        "cross-fitted temperature fitted on all",
        "src/binsight/evaluation/reliability.py",
        "fit_temperature(logits[fit], labels[fit])",
        "fit_temperature(logits, labels)",
        (f"{_OTHERS}::test_no_photo_and_no_copy_of_it_fits_its_own_temperature",),
    ),
    Mutation(
        "cross-fitted thresholds chosen on all",
        "src/binsight/evaluation/selective.py",
        "found = reasons(choose(fit).threshold)",
        "found = reasons(chosen.threshold)",
        (f"{_OTHERS}::test_no_photo_chooses_the_threshold_that_judges_it",),
    ),
    Mutation(
        "no correction of the calibration error's bias",
        "src/binsight/evaluation/figures.py",
        "resamples=resamples, biased=BIASED)",
        "resamples=resamples)",
        (f"{_OTHERS}::test_the_interval_of_a_calibration_error_is_not_that_of_its_resamples",),
    ),
    Mutation(
        "folds that ignore copies",
        "src/binsight/probability/folds.py",
        "np.arange(len(labels)) if groups is None else groups, folds=folds, seed=seed",
        "np.arange(len(labels)), folds=folds, seed=seed",
        (_OTHERS, "tests/probability/test_folds.py"),
    ),
    Mutation(
        "test recalibrated on itself",
        "src/binsight/pipeline/assemble.py",
        "    split = run.data.splits[name]\n    fitted_for",
        "    split = run.data.splits[name]\n    calibration = calibrate(scores, split.labels, targets)\n    fitted_for",
        (f"{_ASSEMBLED}::test_test_is_measured_with_what_was_fitted_on_val",),
    ),
    Mutation(
        "what is familiar fitted on val",
        "src/binsight/pipeline/assemble.py",
        'known = source.of_split("train")',
        'known = source.of_split("val")',
        (f"{_ASSEMBLED}::test_known_features_are_those_of_the_photos_that_were_learnt_from",),
    ),
    Mutation(
        "copies of val count as evidence for the threshold",
        "src/binsight/pipeline/assemble.py",
        'calibrate(seen["val"], val.labels, targets, groups=val.groups)',
        'calibrate(seen["val"], val.labels, targets)',
        (f"{_ASSEMBLED}::test_copies_in_val_are_no_further_evidence",),
    ),
    Mutation(
        "copies of val narrow the intervals",
        "src/binsight/pipeline/assemble.py",
        "calibration, groups=split.groups, fitted_for=fitted_for)",
        "calibration, fitted_for=fitted_for)",
        (f"{_ASSEMBLED}::test_copies_in_val_are_no_further_evidence",),
    ),
    Mutation(
        "copies judge the backbones that are compared",
        "src/binsight/pipeline/compare_backbones.py",
        "np.arange(len(photos)) if photos.copies is None else photos.copies",
        "np.arange(len(photos))",
        ("tests/pipeline/test_compare_backbones.py::test_copies_are_kept_in_one_part_and_counted_once",),
    ),
    Mutation(
        "copies judge the heads that learnt from them",
        "src/binsight/pipeline/frozen.py",
        "train.labels, train.groups, folds=number",
        "train.labels, np.arange(len(train)), folds=number",
        (_FROZEN,),
    ),
    Mutation(
        "the search judges what it learnt from",
        "src/binsight/pipeline/frozen.py",
        "            _take(photos, ~judging),\n",
        "            photos,\n",
        (_FROZEN,),
    ),
    Mutation(
        "the running mean (ema) is never kept",
        "src/binsight/training/fine_tune/trainer.py",
        "_array(means.get(id(v), v)) for v",
        "_array(v) for v",
        ("tests/training/fine_tune/test_loop.py::test_the_running_mean_is_what_is_judged_and_kept",),
    ),
    Mutation(
        "best without augmentation, views",
        "src/binsight/pipeline/tail.py",
        "        run.config.augment,\n",
        '        run.config.augment.of("none"),\n',
        (f"{_TUNED}::test_the_last_part_is_trained_on_views",),
    ),
    Mutation(
        "best without augmentation, photos",
        "src/binsight/pipeline/config.py",
        "for n in names}, augment=self.augment)",
        "for n in names}, augment=AugmentSettings())",
        (f"{_TUNED}::test_the_whole_backbone_is_trained_on_altered_photos",),
    ),
    Mutation(
        "best without dropout",
        "src/binsight/pipeline/trainable.py",
        "dropout=dropout,",
        "dropout=0.0,",
        (
            f"{_TUNED}::test_the_last_part_is_trained_on_views",
            f"{_TUNED}::test_the_whole_backbone_is_trained_on_altered_photos",
        ),
    ),
    Mutation(
        "held-out photos are trained on, and made backgrounds of",
        "src/binsight/pipeline/data.py",
        "in added} | held, how",
        'in added} | dict.fromkeys(held, "train"), how',
        ("tests/pipeline/test_data.py::test_a_source_is_held_out_of_train_and_val",),
    ),
    Mutation(
        "a seed begins where the one before ended",
        "src/binsight/pipeline/tuned.py",
        "            network.model.set_weights(start)\n",
        "",
        (f"{_TUNED}::test_several_seeds_are_trained_from_one_start_and_averaged",),
    ),
    Mutation(
        "parallel trials draw the same",
        "src/binsight/training/heads/search.py",
        "seed=seed + _turn_of(study, trial)",
        "seed=seed + done",
        ("tests/training/heads/test_search.py::test_parallel_workers_try_different_settings",),
    ),
    Mutation(
        "mixed precision is ignored",
        "src/binsight/training/fine_tune/trainer.py",
        "with compute_in_bfloat16(network) if is_mixed else contextlib.nullcontext():",
        "with contextlib.nullcontext():",
        ("tests/training/fine_tune/test_tail.py::test_on_a_gpu_the_tail_computes_in_bfloat16",),
    ),
)


def main() -> int:
    """Try the mutations; gives the exit code."""
    arguments = _arguments()
    chosen = [m for m in MUTATIONS if not arguments.only or any(word in m.name for word in arguments.only)]
    if arguments.list or not chosen:
        print("\n".join(f"{m.name}: {m.module}; {', '.join(m.tests)}" for m in chosen or MUTATIONS))
        return 0 if chosen else 2
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = _copy_tree(Path(folder))
        tests = sorted({test for mutation in chosen for test in mutation.tests})
        code, output = _run_tests(tree, tests)
        if code != _PASSED:
            print(f"the tests do not pass without any mutation:\n{output}")
            return 2
        results = [_try(mutation, tree) for mutation in chosen]
    counts = {word: results.count(word) for word in ("killed", "SURVIVED", "NOT TRIED")}
    print(", ".join(f"{count} {word.lower()}" for word, count in counts.items()))
    return 2 if counts["NOT TRIED"] else int(counts["SURVIVED"] > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="mutations whose name has such a word")
    parser.add_argument("--list", action="store_true", help="say what there is")
    return parser.parse_args()


def _copy_tree(folder: Path) -> Path:
    """A copy of what tests need; the folder beside the tree that holds shared data stays within reach."""
    tree = folder / "tree"
    tree.mkdir()
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    if (shared := ROOT.parent / "shared").exists():
        (folder / "shared").symlink_to(shared)
    return tree


def _try(mutation: Mutation, tree: Path) -> str:
    began = time.perf_counter()
    try:
        text = mutation.apply(tree)
    except LookupError as error:
        print(f"NOT TRIED  {error}", flush=True)
        return "NOT TRIED"
    code, output = _run_tests(tree, mutation.tests)
    (tree / mutation.module).write_text(text, encoding="utf-8")
    found = {_PASSED: "SURVIVED", _FAILED: "killed"}.get(code, "NOT TRIED")
    failed = next((line.split(" ")[1] for line in output.splitlines() if line.startswith("FAILED ")), "")
    print(f"{found:9}  {mutation.name}, {time.perf_counter() - began:.0f} s  {failed}", flush=True)
    if found == "NOT TRIED":
        print(output)
    return found


def _run_tests(tree: Path, tests: tuple[str, ...] | list[str]) -> tuple[int, str]:
    """The exit code of pytest, and what it printed."""
    paths = os.pathsep.join((str(tree / "src"), str(tree)))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-W", "default", *tests],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout[-4000:] + ran.stderr[-2000:]


if __name__ == "__main__":
    sys.exit(main())
