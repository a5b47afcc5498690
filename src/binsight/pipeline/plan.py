"""What a training would do, without doing it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any

from binsight.dataset import Dataset
from binsight.export.quiet import quiet
from binsight.pipeline.backbone import choose_backbone
from binsight.pipeline.config import AUTO, TrainConfig
from binsight.pipeline.data import open_taxonomy
from binsight.pipeline.tail import find_cut
from binsight.taxonomy import Taxonomy

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training would do.

    Attributes:
        photos: how many there are, of which classes and splits, in one line.
        steps: what would be done, one line each.
        summary: the network, layer by layer.
        config: the settings.
    """

    photos: str
    steps: tuple[str, ...]
    summary: str
    config: TrainConfig

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "steps": list(self.steps), "config": self.config.to_dict()}


def make_plan(dataset: Dataset, config: TrainConfig) -> Plan:
    """The plan for these photos and settings.

    Raises:
        WeightsError: there is no such backbone.
        MissingExtraError: Keras is not installed.
    """
    taxonomy = dataset.taxonomy or open_taxonomy(dataset)
    counts = Counter(sample.split or "without split" for sample in dataset)
    parts = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    photos = f"{len(dataset):,} photos ({parts}) of {len({s.class_id for s in dataset})} classes"
    return Plan(photos, tuple(_steps(config)), _summary(config, taxonomy), config)


def _steps(config: TrainConfig) -> list[str]:
    chosen = choose_backbone(config)
    steps = ["audit" + (", leakage allowed" if config.data.allow_leakage else ", stopping at leakage")]
    steps.append(f"split where there is none: val {config.data.val:g}, test {config.data.test:g}")
    if config.heads.kind == "original":
        steps += _original_steps(config, chosen.backbone.name, chosen.size)
    else:
        mirrored = ", of photos and their mirror images" if config.heads.mirrored else ""
        steps.append(f"features: {chosen.description}{mirrored}")
        steps.append(_head_step(config))
    if config.backbone.name == AUTO and config.fine_tune.enabled:
        steps.append("a larger backbone, where the features of this one are hard to tell apart")
    if config.heads.kind != "original" and config.fine_tune.enabled:
        settings = config.fine_tune
        shares = ", ".join(f"{share:.0%}" for share in config.fine_tune.average)
        cut = find_cut(chosen, settings.frozen_share) if config.fine_tune.views else None
        what = (
            f"what lies behind {cut.layer}, on {config.fine_tune.views} altered views" if cut else "on altered photos"
        )
        steps.append(
            f"fine-tune {what}: {settings.epochs} epochs at {settings.learning_rate:g}, augmentation "
            f"{config.augment.strength}; averages with {shares} of the trained weights, the best on val"
        )
    steps.append("calibrate and measure on val, and on test where there is one; write the bundle")
    return steps + (["evaluate, and write the report"] if config.evaluate.report else [])


def _head_step(config: TrainConfig) -> str:
    if config.heads.kind == "inner":
        return f"heads: the best of {config.tuning.trials} small networks, judged inside train"
    if config.heads.kind == "bundle":
        return f"heads: those of {config.backbone.name}"
    penalties = ", ".join(f"{penalty:g}" for penalty in config.heads.inverse_penalties)
    return f"heads: logistic regression, C of {penalties} by {config.heads.folds}-fold cross-validation inside train"


def _original_steps(config: TrainConfig, name: str, size: int) -> list[str]:
    o = config.original
    tried = o.learning_rates, o.inner_sizes, o.dropouts
    rates, sizes, dropouts = (", ".join(f"{v:g}" for v in values) for values in tried)
    kinds = ", ".join(o.augmentations)
    return [
        f"features: {name}, {o.small_size} px and {size} px",
        f"learning rates {rates}: {o.rate_epochs} epochs each",
        f"inner sizes {sizes}: {o.size_epochs} epochs each",
        f"dropouts {dropouts}: {o.dropout_epochs} epochs each",
        f"augmentations {kinds}: {o.augmentation_epochs} epochs each, {o.views} altered views of each photo",
        f"final head at {size} px: {o.final_epochs} epochs, the best by val accuracy kept",
    ]


def _summary(config: TrainConfig, taxonomy: Taxonomy) -> str:
    """The network as `summarise` writes it, with random weights: its shape is what is asked for."""
    with quiet():  # TensorFlow tells of itself when it starts
        from binsight.training.fine_tune.network import build_network, summarise  # noqa: PLC0415 - Keras takes seconds

        network = build_network(
            replace(choose_backbone(config), weights="random").build(),
            classes=len(taxonomy),
            biodegradable=taxonomy.has_biodegradability,
            inner_size=_inner_size(config),
        )
    return summarise(network)


def _inner_size(config: TrainConfig) -> int | None:
    """The largest that is tried; None where the heads see the features themselves."""
    sizes = {"original": config.original.inner_sizes, "inner": config.tuning.inner_sizes}.get(config.heads.kind, (0,))
    return max(sizes) or None
