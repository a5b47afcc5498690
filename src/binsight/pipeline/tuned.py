"""The fine-tuning stage: backbone and heads are trained from the fitted heads on, and averaged with their start.

The average of the weights before and after keeps most of what the backbone knew of other people's photos, and most of
what it learnt of these. The heads are averaged with it: fitted anew on the tuned features they are less accurate, since
those features tell the photos they were trained on too well.

References:
    Kumar et al. 2022, Fine-tuning can distort pretrained features, arXiv 2202.10054: heads first, then the rest.
    Wortsman et al. 2022, Robust fine-tuning of zero-shot models (WiSE-FT), arXiv 2109.01903: the average.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from binsight.errors import CheckpointError
from binsight.files import write_whole
from binsight.imaging import prepare_photo
from binsight.pipeline.assemble import TrainedModel
from binsight.pipeline.backbone import ChosenBackbone
from binsight.pipeline.frozen import FittedHeads
from binsight.pipeline.run import FeatureSource, Run
from binsight.pipeline.trainable import Network, Photos, heads_of
from binsight.pipeline.work import key_of
from binsight.predictor import run_in_order
from binsight.training.heads.linear import Heads
from binsight.training.photos import PhotoStore, decode_for_augmentation

if TYPE_CHECKING:
    from binsight.training.fine_tune.batches import EpochBatches
    from binsight.training.fine_tune.history import EpochRecord

    _Lesson = tuple[EpochBatches, Callable[[], dict[str, NDArray[np.float32]]]]
    """What a network learns from, and a function that gives its outputs for `val`."""

__all__ = ["fine_tune_backbone"]

_PIXELS = 800_000_000  # bytes of those that are learnt from to keep decoded; of `val`, a quarter as many

Ends = Mapping[str, NDArray[Any]]
"""The weights of a network before and after its training, as `start.0`, …, `tuned.0`, …"""


@dataclass(frozen=True)
class _Candidate:
    """One average of start and trained weights, with heads of its own."""

    share: float
    fitted: FittedHeads
    accuracy: float
    weights: Path | None = None


def fine_tune_backbone(run: Run, chosen: ChosenBackbone, frozen: FittedHeads) -> TrainedModel:
    """Train the backbone, and keep the average that is best on `val`, of those that are asked for.

    Args:
        run: the training.
        chosen: the backbone.
        frozen: heads on its features as they were.
    """
    config = run.config
    choices = asdict(config.fine_tune) | {"augment": asdict(config.augment)}
    for name in ("average", "log_to", "seeds"):  # they change what comes after, or nothing
        choices.pop(name)
    heads = {name: array.tolist() for name, array in frozen.heads.to_arrays().items()}
    sources = run.data.splits["train"].sources if config.fine_tune.source_balance else ()
    key = key_of("tuned", frozen.source.key, heads, choices, config.seed, *sources)
    shares = tuple(dict.fromkeys(config.fine_tune.average))
    seeds = tuple(dict.fromkeys(config.fine_tune.seeds)) or (config.seed,)
    about = _train_and_average(run, chosen, frozen, seeds, tuple(filter(None, shares)), key)

    def fitted(share: float, stem: str) -> FittedHeads:
        if not share:
            return frozen
        source = FeatureSource(run, _paths(run, stem, share)[0], chosen)
        return _averaged_heads(run, source, frozen, _heads_name(stem, share), key)

    candidates = []
    for share in sorted(shares):
        found = fitted(share, _mean_of(key, seeds))
        weights = _paths(run, _mean_of(key, seeds), share)[1] if share else None
        candidates.append(_Candidate(share, found, _accuracy(run, found), weights))
    best = max(candidates, key=lambda candidate: candidate.accuracy)  # of equal ones the nearer to the start
    singly = seeds if best.share and len(seeds) > 1 else ()
    each = {str(seed): fitted(best.share, _mean_of(key, (seed,))) for seed in singly}
    return _describe(run, best, candidates, about, each)


def _train_and_average(
    run: Run, chosen: ChosenBackbone, frozen: FittedHeads, seeds: tuple[int, ...], shares: tuple[float, ...], key: str
) -> dict[str, Any]:
    """What is to be said of the training; it, and the averages, are only made where they are not there yet."""
    about: dict[int, dict[str, Any]] = {}
    ends: dict[int, Ends] = {}
    for seed in seeds:
        told, arrays = run.work.recall(_stage(key, seed), key), run.work.recall_arrays(_stage(key, seed), key)
        if told is not None and arrays is not None:
            about[seed], ends[seed] = told, arrays
    untrained = [seed for seed in seeds if seed not in about]
    wanted = [(seeds, share) for share in shares]
    wanted += [((seed,), share) for seed in seeds for share in shares if len(seeds) > 1]
    missing = [
        (some, share) for some, share in wanted if untrained or not _is_averaged(run, key, _mean_of(key, some), share)
    ]
    if missing or untrained:
        run.reporter.stage("Building the network")
        from binsight.training.fine_tune.devices import spread_over_devices  # noqa: PLC0415 - Keras takes seconds

        spread_over_devices()
        network = Network(run, chosen, frozen.heads)
        if untrained:
            photos = Photos.of(run, network)
            start = network.start(run, photos, frozen)
        for seed in untrained:
            network.model.set_weights(start)
            about[seed], ends[seed] = _train(run, network, photos, seed, key)
            run.work.remember_arrays(_stage(key, seed), key, ends[seed])
            run.work.remember(_stage(key, seed), key, about[seed])
        for some, share in missing:
            _average(run, network, [ends[seed] for seed in some], share, key, _mean_of(key, some))
    shutil.rmtree(run.work.root / "activations", ignore_errors=True)  # gigabytes that nothing needs any more
    first = about[seeds[0]]
    if len(seeds) == 1:
        return dict(first)
    return {"trained": first["trained"], "epochs": first["epochs"], "seeds": {str(s): about[s] for s in seeds}}


def _train(
    run: Run, network: Network, photos: Photos, seed: int, key: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Fine-tune; gives what is to be said of it, and the weights before and after."""
    from binsight.training.fine_tune.loop import fine_tune  # noqa: PLC0415 - Keras takes seconds

    folder = run.work.folder(f"fine-tune-{key}-{seed}")
    trained = "the whole backbone" if network.cut is None else f"the backbone behind {network.cut.layer}"
    batches, predict = (_train_on_photos if network.cut is None else _train_on_views)(network, photos, run, seed)
    result = fine_tune(
        network.model,
        batches,
        run.data.labelled("val"),
        predict,
        spec=network.chosen.spec,
        work=folder,
        resume=True,
        on_epoch_end=_on_epoch_end(run, folder),
        progress=run.reporter.stage(f"Fine-tuning, seed {seed}"),
    )
    about = {
        "trained": trained,
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "accuracy_before_averaging": result.validation.accuracy,
        "history": [asdict(record) for record in result.history],
    }
    ends = {"start": result.start, "tuned": result.weights}
    return about, {f"{end}.{i}": array for end, weights in ends.items() for i, array in enumerate(weights)}


def _average(run: Run, network: Network, members: Sequence[Ends], share: float, key: str, stem: str) -> None:
    """Write graph, weights and heads of one average, over one seed or several."""
    from binsight.training.backbones import write_backbone_safetensors  # noqa: PLC0415 - Keras takes seconds
    from binsight.training.fine_tune.averaging import interpolate, uniform_soup  # noqa: PLC0415

    run.reporter.stage(f"Averaging, {share:.0%} trained")
    network.model.set_weights(
        uniform_soup([interpolate(_end(ends, "start"), _end(ends, "tuned"), share) for ends in members])
    )
    graph, weights = _paths(run, stem, share)
    write_whole(weights, write_backbone_safetensors(network.chosen.backbone.name, network.backbone))
    write_whole(graph, network.chosen.to_onnx(network.backbone).SerializeToString())
    run.work.remember_arrays(_heads_name(stem, share), key, heads_of(network.model).to_arrays())


def _end(ends: Ends, which: str) -> list[NDArray[Any]]:
    return [ends[f"{which}.{i}"] for i in range(len(ends) // 2)]


def _is_averaged(run: Run, key: str, stem: str, share: float) -> bool:
    there = all(path.is_file() for path in _paths(run, stem, share))
    return there and run.work.recall_arrays(_heads_name(stem, share), key) is not None


def _train_on_photos(network: Network, photos: Photos, run: Run, seed: int) -> _Lesson:
    """Every photo altered anew each time it is seen."""
    from binsight.training.fine_tune.batches import TrainingBatches  # noqa: PLC0415 - Keras takes seconds
    from binsight.training.fine_tune.validation import predict_outputs  # noqa: PLC0415

    spec, settings, val = network.chosen.spec, run.config.fine_tune_settings(), run.data.labelled("val")
    seen = PhotoStore(photos.train.paths, partial(decode_for_augmentation, size=spec.size), budget=_PIXELS)
    judged = PhotoStore(val.paths, partial(prepare_photo, spec=spec), budget=_PIXELS // 4)
    places = run.data.strangers.places
    batches = TrainingBatches(photos.train, run.classes, settings, seed, seen, spec, run.workers, places)

    def predict() -> dict[str, NDArray[np.float32]]:
        pixels = run_in_order(judged.pixels, range(len(judged)), workers=run.workers)
        return predict_outputs(network.model, pixels, len(judged))

    return batches, predict


def _train_on_views(network: Network, photos: Photos, run: Run, seed: int) -> _Lesson:
    """A fixed number of altered views, run through the frozen layers once."""
    from binsight.training.fine_tune.batches import ViewBatches  # noqa: PLC0415 - Keras takes seconds
    from binsight.training.fine_tune.validation import predict_outputs  # noqa: PLC0415

    settings = replace(run.config.fine_tune_settings(), frozen_share=0.0)  # what is frozen was cut off
    share = run.config.fine_tune.plain_share
    batches = ViewBatches(photos.train, run.classes, settings, seed, photos.views, share)
    return batches, lambda: predict_outputs(network.model, photos.val, len(photos.val))


def _averaged_heads(run: Run, source: FeatureSource, frozen: FittedHeads, name: str, key: str) -> FittedHeads:
    """The heads that `_train` left for an average."""
    arrays = run.work.recall_arrays(name, key)
    if arrays is None:
        raise CheckpointError(f"{run.work.root / name}.npz is missing or damaged; train again without --resume")
    text = f"{frozen.description}; then trained with the backbone, and averaged like it"
    return FittedHeads(Heads.from_arrays(arrays), source, {**frozen.record, "trained": True}, text)


def _on_epoch_end(run: Run, folder: Path) -> Callable[[EpochRecord], None]:
    """Says each epoch, and passes it on to the logs that are wanted."""
    logs = list(_logs(run, folder))

    def tell(record: EpochRecord) -> None:
        run.reporter.say(
            f"epoch {record.epoch}: loss {record.train_loss:.3f}, val loss {record.val_loss:.3f}, val accuracy "
            f"{record.val_accuracy:.2%}, {record.seconds:.0f} s"
        )
        for log in logs:
            log(record)

    return tell


def _logs(run: Run, folder: Path) -> Iterator[Callable[[EpochRecord], None]]:
    from binsight.training.fine_tune.history import log_to_mlflow, log_to_tensorboard  # noqa: PLC0415

    wanted = run.config.fine_tune.log_to
    if "tensorboard" in wanted:
        yield log_to_tensorboard(folder / "tensorboard")
    if "mlflow" in wanted:
        yield log_to_mlflow(run.config.to_dict())


def _stage(key: str, seed: int) -> str:
    """What the training with a seed is kept as."""
    return f"tuned-{key}-seed-{seed}"


def _mean_of(key: str, seeds: tuple[int, ...]) -> str:
    """What the name of an average over seeds begins with."""
    return f"tuned-{key}-of-{key_of(seeds)}"


def _heads_name(stem: str, share: float) -> str:
    """What the heads of an average are kept as."""
    return f"{stem}-{share:g}"


def _paths(run: Run, stem: str, share: float) -> tuple[Path, Path]:
    """Where the graph and the weights of an average lie."""
    path = run.work.folder("graphs") / f"{stem}-{share:g}"
    return path.with_name(f"{path.name}.onnx"), path.with_name(f"{path.name}.safetensors")


def _accuracy(run: Run, fitted: FittedHeads) -> float:
    predicted = fitted.heads.logits(fitted.source.of_split("val")).argmax(axis=1)
    return float(np.mean(predicted == run.data.splits["val"].labels))


def _describe(
    run: Run, best: _Candidate, candidates: list[_Candidate], kept: Mapping[str, Any], each: Mapping[str, FittedHeads]
) -> TrainedModel:
    accuracies = {f"{candidate.share:g}": candidate.accuracy for candidate in candidates}
    for candidate in candidates:
        run.reporter.say(f"{candidate.share:.0%} of the trained weights: val accuracy {candidate.accuracy:.2%}")
    if best.share:
        rest = f"averaged, {best.share:.0%} trained and {1 - best.share:.0%} as before" if best.share < 1 else "kept"
        over = f"; this with {len(each)} seeds, and the weights of all averaged again" if each else ""
        views = run.config.fine_tune.head_views
        on = f", fitted on {views} altered views of each photo too," if views else ""
        summary = (
            f"Then {kept['trained']} and the heads{on} were trained for {kept['epochs']} epochs, and the weights "
            f"{rest}{over}."
        )
    else:
        summary = "Training the backbone too did not make it more accurate on `val`, so it was left as it was."
    record = {"fine_tuning": {"summary": summary, "share": best.share, "val_accuracy_by_share": accuracies, **kept}}
    weights = best.weights.read_bytes() if best.weights else None
    what = ["How far the backbone was trained"] if run.config.fine_tune.keep == "best" else []
    what += ["the share of what was trained in the average"] if len(candidates) > 1 else []
    chosen = ", and ".join(what)
    return TrainedModel(best.fitted, weights, record, chosen[:1].upper() + chosen[1:], each)
