"""The whole way from a table of photos to a bundle and a report."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Manifest, check_target, load_bundle
from binsight.dataset import Dataset
from binsight.dataset.duplicates import duplicate_groups
from binsight.files import write_whole
from binsight.pipeline.assemble import TrainedModel, assemble_bundle
from binsight.pipeline.auxiliary import list_unknown, read_labelled
from binsight.pipeline.backbone import ChosenBackbone, choose_backbone
from binsight.pipeline.choice import choose_larger, say_time
from binsight.pipeline.config import AUTO, TrainConfig
from binsight.pipeline.data import PreparedData, Split
from binsight.pipeline.frozen import FittedHeads, fit_inner, fit_logistic, take_from_bundle
from binsight.pipeline.reporting import Reporter
from binsight.pipeline.run import FeatureSource, Means, Run
from binsight.pipeline.work import Work
from binsight.text_files import read_text
from binsight.training.heads.search import study_faults

if TYPE_CHECKING:
    from binsight.evaluation.results import Evaluation

__all__ = ["Places", "TrainResult", "places_beside", "train"]

_FITS: Final = {"logistic": fit_logistic, "inner": fit_inner, "bundle": take_from_bundle}
_TWIN_COSINE: Final = 0.9  # of features; photos elsewhere that are as near as this to a training photo do not count


@dataclass(frozen=True, slots=True)
class Places:
    """Where a training writes.

    Attributes:
        bundle: the bundle, a folder or a `.zip`.
        work: what is needed to go on after an interruption.
        report: the report, HTML.
        taxonomy: the taxonomy, where one had to be made.
    """

    bundle: Path
    work: Path
    report: Path
    taxonomy: Path


@dataclass(frozen=True)
class TrainResult:
    """What came of a training.

    Attributes:
        bundle: where it is.
        manifest: what it says of itself.
        report: where the report is; None without one.
        taxonomy: where the taxonomy is that had to be made; None where the data set had one.
        seconds: the wall time.
    """

    bundle: Path
    manifest: Manifest
    report: Path | None
    taxonomy: Path | None
    seconds: float


def places_beside(out: Path, *, work: Path | None = None) -> Places:
    """Where a training writes whose bundle is `out`: everything else lies beside it, by its name."""
    stem = out.with_suffix("") if out.suffix.lower() == ".zip" else out
    return Places(
        out,
        work or stem.with_name(f"{stem.name}.work"),
        stem.with_name(f"{stem.name}.report.html"),
        stem.with_name(f"{stem.name}.taxonomy.toml"),
    )


def train(
    dataset: Dataset,
    config: TrainConfig,
    places: Places,
    *,
    resume: bool = False,
    overwrite: bool = False,
    **means: Unpack[Means],
) -> TrainResult:
    """Audit, split, compute features, tune, fit, fine-tune, calibrate, evaluate, and write the bundle.

    Args:
        dataset: as `binsight.dataset.scan` gives it.
        config: every choice.
        places: where to write.
        resume: go on with what the work folder holds; stages that are complete are skipped.
        overwrite: replace the bundle and what the work folder holds.
        means: see `Means`.

    Raises:
        SettingsError: the features that are known are of another backbone.
        LeakageError: copies lie on both sides of the split.
        DatasetError: the photos cannot be trained on.
        OutputError: something is in the way.
        WeightsError: the backbone or its weights are not there.
    """
    began = time.monotonic()
    chosen = choose_backbone(config)
    _check_places(config)
    # A run that is resumed may have been interrupted after its bundle was written.
    overwrite_bundle = overwrite or resume
    check_target(places.bundle, overwrite=overwrite_bundle)
    work = Work.open(places.work, resume=resume, overwrite=overwrite)
    write_whole(work.root / "config.toml", config.to_toml().encode())
    run = Run.begin(dataset, config, work, chosen, **means)
    if not config.evaluate.test:
        splits = {name: split for name, split in run.data.splits.items() if name != "test"}
        run = replace(run, data=replace(run.data, splits=splits))
    taxonomy = _write_taxonomy(run.data, places.taxonomy, run.reporter)
    if config.evaluate.elsewhere:
        run = replace(run, data=_with_elsewhere(run, run.frozen_source(chosen)))
    run, model = _train_model(run, chosen)
    bundle = assemble_bundle(run, model, places.bundle, overwrite=overwrite_bundle)
    report = _report(run, bundle, places.report) if config.evaluate.report else None
    manifest = load_bundle(bundle).manifest
    return TrainResult(bundle, manifest, report, taxonomy, time.monotonic() - began)


def _train_model(run: Run, chosen: ChosenBackbone) -> tuple[Run, TrainedModel]:
    """The model, and the run with the settings that it was trained with."""
    kind = run.config.heads.kind
    if kind == "original":
        from binsight.pipeline.original import train_original  # noqa: PLC0415 - only this preset needs it

        return run, train_original(run, chosen)
    source = run.frozen_source(chosen)
    with study_faults(run.study_url):
        fitted = _FITS[kind](run, source)
    if not run.config.fine_tune.enabled:
        return run, TrainedModel(fitted)
    own, judged = run.config.backbone, fitted.record.get("cross_validation")
    if own.name == AUTO and own.size is None and own.weights == "imagenet" and judged:
        run, chosen, fitted = _settle_backbone(run, chosen, fitted)
    from binsight.pipeline.tuned import fine_tune_backbone  # noqa: PLC0415 - needs Keras

    return run, fine_tune_backbone(run, chosen, fitted)


def _settle_backbone(run: Run, chosen: ChosenBackbone, fitted: FittedHeads) -> tuple[Run, ChosenBackbone, FittedHeads]:
    """The same, or a larger backbone with heads of its own where that pays; says which, and how long it will take."""
    config, photos = run.config, len(run.data.splits["train"])
    larger, why = choose_larger(config, fitted.record["cross_validation"], photos)
    takes = say_time(run, fitted.source, larger or config)
    run.reporter.say(f"{why}. Training the backbone takes {takes}")
    if larger is None:
        return run, chosen, fitted
    run, chosen = replace(run, config=larger), choose_backbone(larger)
    return run, chosen, _FITS[larger.heads.kind](run, run.frozen_source(chosen))


def _with_elsewhere(run: Run, source: FeatureSource) -> PreparedData:
    """The data with other people's photos to measure on, but for near twins of photos that are trained on."""
    found = read_labelled(run.config.evaluate.elsewhere, run.data.taxonomy, workers=run.workers)
    for note in found.notes:
        run.reporter.say(note)
    paths = tuple(found.file(s) for s in found)
    own, others = (_unit(f) for f in (source.of_split("train"), source.of_photos(paths, what="elsewhere")))
    kept = found.take(np.flatnonzero((others @ own.T).max(axis=1) <= _TWIN_COSINE).tolist())
    run.reporter.say(f"elsewhere: {len(kept)} of {len(found)} photos are not among those that are trained on")
    if not len(kept):
        return run.data
    labels, groups = np.asarray(kept.labels, np.intp), np.asarray(duplicate_groups(kept), np.intp)
    split = Split(tuple(kept.file(s) for s in kept), labels, groups, tuple(s.sha256 or "" for s in kept))
    return replace(run.data, splits={**run.data.splits, "elsewhere": split})


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = features / np.linalg.norm(features, axis=1, keepdims=True)
    return result


def _check_places(config: TrainConfig) -> None:
    """A file or folder that is not there shows now, not at the end."""
    list_unknown(config.evaluate.unknown)
    if config.bundle.about is not None:
        read_text(Path(config.bundle.about).expanduser())


def _write_taxonomy(data: PreparedData, path: Path, reporter: Reporter) -> Path | None:
    if not data.is_open:
        return None
    text = data.taxonomy.to_toml().encode()
    if path.exists() and path.read_bytes() != text:
        reporter.say(f"{path} is not as it would be written, and left alone; to use it, train with --taxonomy {path}")
        return None
    write_whole(path, text)
    if data.taxonomy.has_biodegradability:
        reporter.say(f"the photos have no taxonomy: one was written to {path}; streams and advice are left for you")
    else:
        reporter.say(
            f"the photos have no taxonomy: one was written to {path}, with biodegradable left open, so the model has "
            "no second head; fill it in and train with --taxonomy"
        )
    return path


def _report(run: Run, bundle: Path, path: Path) -> Path:
    """Evaluate the written bundle as a user would read it, and write the report."""
    from binsight.evaluation.report import write_report  # noqa: PLC0415 - the page engine is an extra

    write_report(_evaluate(run, bundle), path)
    return path


def _evaluate(run: Run, bundle: Path) -> Evaluation:
    from binsight.evaluation.evaluate import EvaluationSettings, evaluate_bundle  # noqa: PLC0415 - as above
    from binsight.evaluation.labelled import LabelledSet  # noqa: PLC0415

    name = "test" if "test" in run.data.splits else "val"
    split, unknown = run.data.splits[name], run.config.evaluate.unknown
    return evaluate_bundle(
        bundle,
        LabelledSet(split.paths, split.labels, run.data.root, copies=split.groups),
        unknown=[path for paths in list_unknown(unknown).values() for path in paths],
        robustness=run.config.evaluate.robustness,
        split=name,
        settings=EvaluationSettings(target_precision=run.config.review.precision, seed=run.config.seed),
        workers=run.workers,
        stage=run.reporter.stage,
    )
