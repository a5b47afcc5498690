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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from binsight.errors import CheckpointError
from binsight.files import write_whole
from binsight.pipeline.assemble import TrainedModel
from binsight.pipeline.backbone import ChosenBackbone
from binsight.pipeline.frozen import FittedHeads
from binsight.pipeline.run import FeatureSource, Run
from binsight.pipeline.tail import Cut, compute_views, find_cut
from binsight.pipeline.work import key_of
from binsight.training.heads.linear import Heads, LinearModel

if TYPE_CHECKING:
    import keras

    from binsight.training.fine_tune.history import EpochRecord
    from binsight.training.fine_tune.loop import FineTuneResult

__all__ = ["fine_tune_backbone"]


@dataclass(frozen=True)
class _Candidate:
    """One average of start and trained weights, with heads of its own."""

    share: float
    fitted: FittedHeads
    accuracy: float
    weights: Path | None = None


def fine_tune_backbone(run: Run, chosen: ChosenBackbone, frozen: FittedHeads) -> TrainedModel:
    """Train the backbone, and keep the average that is best on `val`; the frozen one, if none is better.

    Args:
        run: the training.
        chosen: the backbone.
        frozen: heads on its features as they were.
    """
    config = run.config
    choices = asdict(config.fine_tune)
    for name in ("average", "log_to"):  # they change what comes after, or nothing
        choices.pop(name)
    heads = {name: array.tolist() for name, array in frozen.heads.to_arrays().items()}
    key = key_of("tuned", frozen.source.key, heads, choices, asdict(config.augmentation()), config.seed)
    shares = tuple(dict.fromkeys(share for share in config.fine_tune.average if share > 0))
    about = _train_and_average(run, chosen, frozen, shares, key)
    candidates = [_Candidate(0.0, frozen, _accuracy(run, frozen))]
    for share in shares:
        graph, weights = _paths(run, key, share)
        fitted = _averaged_heads(run, FeatureSource(run, graph, chosen), frozen, _heads_name(key, share), key)
        candidates.append(_Candidate(share, fitted, _accuracy(run, fitted), weights))
    best = max(candidates, key=lambda candidate: candidate.accuracy)  # of equal ones the nearer to the start
    return _describe(run, best, candidates, about)


def _train_and_average(
    run: Run, chosen: ChosenBackbone, frozen: FittedHeads, shares: tuple[float, ...], key: str
) -> dict[str, Any]:
    """What is to be said of the training; it, and the averages, are only made where they are not there yet."""
    stage = f"tuned-{key}"
    about: dict[str, Any] | None = run.work.recall(stage, key)
    ends = run.work.recall_arrays(stage, key)
    missing = [share for share in shares if not _is_averaged(run, key, share)]
    if about is None or ends is None or missing:
        run.reporter.stage("Building the network")
        from binsight.training.fine_tune.devices import spread_over_devices  # noqa: PLC0415 - Keras takes seconds

        spread_over_devices()
        network = _Network(run, chosen, frozen.heads)
        if about is None or ends is None:
            about, ends, missing = *_train(run, network, key), list(shares)
            run.work.remember_arrays(stage, key, ends)
            run.work.remember(stage, key, about)
        for share in missing:
            _average(run, network, ends, share, key)
    shutil.rmtree(run.work.root / "activations", ignore_errors=True)  # gigabytes that nothing needs any more
    return about


def _train(run: Run, network: _Network, key: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Fine-tune; gives what is to be said of it, and the weights before and after."""
    folder = run.work.folder(f"fine-tune-{key}")
    if (cut := network.cut) is None:
        trained, result = "the whole backbone", _train_on_photos(run, network, folder)
    else:
        trained, result = f"the backbone behind {cut.layer}", _train_on_views(run, network, cut, folder)
    about = {
        "trained": trained,
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "chosen": result.chosen,
        "accuracy_before_averaging": result.validation.accuracy,
        "history": [asdict(record) for record in result.history],
    }
    ends = {"start": result.start, "tuned": network.model.get_weights()}
    return about, {f"{end}.{i}": array for end, weights in ends.items() for i, array in enumerate(weights)}


def _average(run: Run, network: _Network, ends: dict[str, NDArray[Any]], share: float, key: str) -> None:
    """Write graph, weights and heads of one average."""
    from binsight.training.backbones import write_backbone_safetensors  # noqa: PLC0415
    from binsight.training.fine_tune.averaging import interpolate  # noqa: PLC0415 - Keras takes seconds

    run.reporter.stage(f"Averaging, {share:.0%} trained")
    start, tuned = ([ends[f"{end}.{i}"] for i in range(len(ends) // 2)] for end in ("start", "tuned"))
    network.model.set_weights(interpolate(start, tuned, share))
    graph, weights = _paths(run, key, share)
    write_whole(weights, write_backbone_safetensors(network.chosen.backbone.name, network.backbone))
    write_whole(graph, network.chosen.to_onnx(network.backbone).SerializeToString())
    run.work.remember_arrays(_heads_name(key, share), key, _heads_of(network.model).to_arrays())


def _is_averaged(run: Run, key: str, share: float) -> bool:
    files = _paths(run, key, share)
    return all(path.is_file() for path in files) and run.work.recall_arrays(_heads_name(key, share), key) is not None


class _Network:
    """A backbone, and what of it is trained, with the fitted heads on it.

    Args:
        run: the training.
        chosen: the backbone.
        heads: fitted on its features.
    """

    def __init__(self, run: Run, chosen: ChosenBackbone, heads: Heads) -> None:
        from binsight.training.fine_tune.tail import split_backbone  # noqa: PLC0415 - Keras takes seconds

        self.chosen = chosen
        self.backbone = chosen.build()
        tuned = run.config.fine_tune
        self.cut = find_cut(chosen, run.config.full_fine_tune_settings().frozen_share) if tuned.views else None
        trained = self.backbone if self.cut is None else split_backbone(self.backbone, self.cut.layer)
        self.model = _put_heads_on(trained, heads, classes=run.classes, dropout=tuned.dropout)


def _train_on_photos(run: Run, network: _Network, folder: Path) -> FineTuneResult:
    """Every photo altered anew each time it is seen."""
    from binsight.training.fine_tune.loop import fine_tune  # noqa: PLC0415 - Keras takes seconds

    return fine_tune(
        network.model,
        run.data.labelled("train"),
        run.data.labelled("val"),
        run.config.full_fine_tune_settings(),
        spec=network.chosen.spec,
        work=folder,
        seed=run.config.seed,
        resume=True,
        on_epoch_end=_on_epoch_end(run, folder),
        progress=run.reporter.stage("Fine-tuning"),
        workers=run.workers,
    )


def _train_on_views(run: Run, network: _Network, cut: Cut, folder: Path) -> FineTuneResult:
    """A fixed number of altered views, run through the frozen layers once."""
    from binsight.training.fine_tune.tail import fine_tune_tail  # noqa: PLC0415 - Keras takes seconds

    views, seen = compute_views(run, network.chosen, cut)
    return fine_tune_tail(
        network.model,
        run.data.labelled("train"),
        views,
        run.data.labelled("val"),
        seen,
        replace(run.config.full_fine_tune_settings(), frozen_share=0.0),  # what is frozen was cut off
        spec=network.chosen.spec,
        plain_share=run.config.fine_tune.plain_share,
        work=folder,
        seed=run.config.seed,
        resume=True,
        on_epoch_end=_on_epoch_end(run, folder),
        progress=run.reporter.stage("Fine-tuning"),
    )


def _put_heads_on(backbone: keras.Model, heads: Heads, *, classes: int, dropout: float) -> keras.Model:
    """A backbone, or the last part of one, with the fitted heads on it."""
    from binsight.training.fine_tune.network import build_network  # noqa: PLC0415 - Keras takes seconds

    network = build_network(
        backbone,
        classes=classes,
        biodegradable=heads.biodegradable is not None,
        inner_size=None if heads.inner is None else heads.inner.weight.shape[1],
        dropout=dropout,
    )
    parts = {"logits": heads.categories, "biodegradable_logit": heads.biodegradable, "inner": heads.inner}
    for name, part in parts.items():
        if part is not None:
            network.get_layer(name).set_weights(_as_layer(part))
    return network


def _as_layer(part: LinearModel) -> list[Any]:
    return [part.weight.astype(np.float32), part.bias.astype(np.float32)]


def _heads_of(network: keras.Model) -> Heads:
    """The heads of a network as it is now."""
    layers = {"logits": "categories", "biodegradable_logit": "biodegradable", "inner": "inner"}
    there = {layer.name: layer for layer in network.layers}
    parts = {
        name: LinearModel(*(array.astype(np.float64) for array in there[layer].get_weights()))
        for layer, name in layers.items()
        if layer in there
    }
    return Heads(**parts)


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


def _heads_name(key: str, share: float) -> str:
    """What the heads of an average are kept as."""
    return f"tuned-{key}-{share:g}"


def _paths(run: Run, key: str, share: float) -> tuple[Path, Path]:
    """Where the graph and the weights of an average lie."""
    stem = run.work.folder("graphs") / f"tuned-{key}-{share:g}"
    return stem.with_name(f"{stem.name}.onnx"), stem.with_name(f"{stem.name}.safetensors")


def _accuracy(run: Run, fitted: FittedHeads) -> float:
    predicted = fitted.heads.logits(fitted.source.of_split("val")).argmax(axis=1)
    return float(np.mean(predicted == run.data.splits["val"].labels))


def _describe(run: Run, best: _Candidate, candidates: list[_Candidate], kept: dict[str, Any]) -> TrainedModel:
    accuracies = {f"{candidate.share:g}": candidate.accuracy for candidate in candidates}
    for candidate in candidates:
        run.reporter.say(f"{candidate.share:.0%} of the trained weights: val accuracy {candidate.accuracy:.2%}")
    if best.share:
        rest = f"averaged, {best.share:.0%} trained and {1 - best.share:.0%} as before" if best.share < 1 else "kept"
        summary = (
            f"Then {kept['trained']} and the heads were trained for {kept['epochs']} epochs, and the weights {rest}."
        )
    else:
        summary = "Training the backbone too did not make it more accurate on `val`, so it was left as it was."
    record = {"fine_tuning": {"summary": summary, "share": best.share, "val_accuracy_by_share": accuracies, **kept}}
    weights = best.weights.read_bytes() if best.weights else None
    what = "How far the backbone was trained, and its share in the average,"
    return TrainedModel(best.fitted, weights, record, what)
