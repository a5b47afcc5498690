"""Everything that may be chosen about a training, as one tree of frozen sections.

Each field has a line in a TOML file (`[section]`, `field = value`) and a flag (`--section-field`, or a shorter one).
`binsight.pipeline.presets` has the named starting points, and puts file and flags on top of one.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Final

from binsight.dataset.licences import licence_faults
from binsight.errors import SettingsError
from binsight.imaging import PreprocessSpec
from binsight.pipeline.held_out import held_out_faults
from binsight.probability.calibration import ReviewTargets
from binsight.settings import Option, section_faults, section_options, setting
from binsight.training.augment.settings import STRENGTHS, AugmentSettings, augment_strength
from binsight.training.backbones import BUNDLE_PREFIX, backbone_names
from binsight.training.fine_tune.settings import FineTuneSettings
from binsight.training.heads.original import AUGMENTATIONS, OriginalGrid
from binsight.training.heads.search import SearchSpace

__all__ = [
    "AUTO",
    "SECTIONS",
    "SMALLEST",
    "AugmentConfig",
    "BackboneConfig",
    "BundleConfig",
    "DataConfig",
    "EvaluateConfig",
    "FineTuneConfig",
    "HeadConfig",
    "OriginalConfig",
    "PreprocessConfig",
    "ReviewConfig",
    "TrainConfig",
    "TuningConfig",
    "all_options",
    "config_faults",
]


AUTO: Final = "auto"
SMALLEST: Final = "efficientnet_lite0"


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which photos are learnt from, and which judge."""

    val: float = setting(
        0.1, "Share of every class for val, where the photos have no such split.", flag="val", low=0.0, high=1.0
    )
    test: float = setting(
        0.15, "Share for test, where the photos have no split at all.", flag="test", low=0.0, high=1.0
    )
    allow_leakage: bool = setting(
        False, "Train although copies lie on both sides of the split; recorded in the bundle.", flag="allow-leakage"
    )
    leave_out_copies: bool = setting(
        False, "Leave out what has a copy in test, or in val, instead of stopping.", flag="leave-out-copies"
    )
    licences: tuple[str, ...] = setting(
        (),
        "Use photos under these licences only, as the manifest's column licence names them: cc0,cc-by,mit.",
        flag="licences",
    )
    hold_out: tuple[str, ...] = setting(
        (),
        "Sources, as the manifest's column source names them, that are not trained or calibrated on: each is measured "
        "by itself. SOURCE:0.5 holds out half of it, by the photos' names.",
        flag="hold-out",
    )
    also: tuple[str, ...] = setting(
        (),
        "More photos to train on: folders, manifests, or CLASS=FOLDER; what has a copy in val or test is left out.",
        flag="also",
    )
    outliers: tuple[str, ...] = setting(
        (),
        "Folders of photos of none of the classes: what is like them is unfamiliar, and where the backbone is trained, "
        "it learns not to be sure of them.",
        flag="outliers",
    )
    corners: int = setting(
        0, "So many corners of training photos, as places with nothing in them, are outliers too.", low=0, high=100_000
    )
    corners_of: tuple[str, ...] = setting((), "Classes whose photos have no waste in their corners.  [default: all]")
    backdrops: tuple[str, ...] = setting(
        (), "Folders of empty places, such as belts and floors: what augment.above pastes objects on."
    )


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """The network under the heads."""

    name: str = setting(
        SMALLEST,
        f"One of {', '.join(backbone_names())}, or bundle:PATH; {AUTO}: {SMALLEST}, or a larger one where that is "
        "known to pay.",
        flag="backbone",
    )
    size: int | None = setting(None, "Height and width of its input in pixels.  [default: its own]", low=16, high=4096)
    weights: str = setting("imagenet", "What it starts from.", choices=("imagenet", "random"), flag="weights")
    weights_dir: str | None = setting(None, "A folder with weights, for use without a connection.", flag="weights-dir")


@dataclass(frozen=True, slots=True)
class PreprocessConfig:
    """How a photo is brought to the size of the network's input; left open, as the backbone has it."""

    fit: str | None = setting(None, "How proportions are treated.", choices=("stretch", "crop", "letterbox"))
    filter: str | None = setting(
        None, "Resampling filter.", choices=("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
    )
    crop_fraction: float | None = setting(None, "With crop: how much of the photo is kept.", low=0.05, high=1.0)


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """What is fitted on the frozen features."""

    kind: str = setting(
        "logistic",
        "logistic: regression, its penalty chosen by cross-validation; inner: a small network, tuned; original: the "
        "steps of the course project; bundle: those of the bundle that the backbone is of, to go on from.",
        choices=("logistic", "inner", "original", "bundle"),
        flag="head",
    )
    mirrored: bool = setting(True, "Learn from the photos' mirror images too.")
    inverse_penalties: tuple[float, ...] = setting(
        (0.003, 0.01, 0.03), "logistic: penalties to try, as scikit-learn's C.", low=1e-9, high=1e9
    )
    folds: int = setting(3, "Parts of the cross-validation inside train.", low=2, high=20)
    batch_size: int = setting(32, "inner, original: photos per step.", low=1)
    biodegradable_weight: float = setting(0.5, "inner, original: what the second head's loss counts.", low=0.0)
    balanced: bool = setting(True, "inner: give every class the same weight. The others say themselves.")


@dataclass(frozen=True, slots=True)
class TuningConfig(SearchSpace):
    """The search for the settings of an inner head: binsight tune, and train with --head inner."""

    trials: int = setting(30, "Combinations to try.", flag="trials", low=1)
    epochs: int = setting(20, "Epochs of each, unless it is stopped early.", low=1)
    prune: bool = setting(True, "Stop a combination that is worse than half of the others were at the same epoch.")
    timeout_s: float | None = setting(None, "Begin no new combination after so many seconds.", low=0.0)
    storage: str | None = setting(
        None, "Database URL of the study, to share it between machines.  [default: a file in the work folder]",
        flag="study-storage",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OriginalConfig(OriginalGrid):
    """What the steps of the original course project try; see `binsight.training.heads.original`."""

    small_size: int = setting(150, "Pixels of the experiments; the final network has the backbone's size.", low=32)
    augmentations: tuple[str, ...] = setting(
        tuple(AUGMENTATIONS), "Kinds of augmentation to try one by one.", choices=(*AUGMENTATIONS, "none")
    )
    views: int = setting(1, "Altered views of each photo, per kind.", low=1)
    augmentation_epochs: int = setting(20, "Epochs for each kind.", low=1)
    final_epochs: int = setting(20, "Epochs at full size.", low=1)


@dataclass(frozen=True, slots=True)
class ReviewConfig:
    """When an item is sent to a person."""

    precision: float = setting(0.993, "Share of right predictions wanted among the accepted ones.", low=0.01, high=1.0)
    disagreement_share: float = setting(
        0.005,
        "Share of rightly classified photos that may be reviewed because the two heads disagree.",
        low=0.0,
        high=1.0,
    )
    unfamiliar_share: float = setting(0.02, "Likewise, because they look unlike the training data.", low=0.0, high=1.0)
    certainty: float = setting(0.95, "With which the precision is to be met on other photos.", low=0.5, high=0.999)

    def targets(self) -> ReviewTargets:
        """The same, for `calibrate`."""
        return ReviewTargets(self.precision, self.disagreement_share, self.unfamiliar_share, self.certainty)


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """What is measured at the end."""

    report: bool = setting(True, "Write a report of one HTML file beside the bundle.", flag="report")
    robustness: bool = setting(False, "Also measure on degraded photos; takes a while.", flag="robustness")
    test: bool = setting(True, "Measure on test, if there is one; switch it off while you choose settings.")
    chosen_on_val: bool = setting(
        False, "You chose settings by what val showed: bundle and card say that its figures lean to the good side."
    )
    unknown: tuple[str, ...] = setting(
        (),
        "Folders of photos that are none of the classes; NAME=FOLDER gives what is measured on it a name of its own.",
        flag="unknown",
    )
    noise: bool = setting(False, "Also measure on pictures of noise, as a broken camera gives them.")
    elsewhere: tuple[str, ...] = setting(
        (),
        "Other people's photos to measure on: folders, manifests, or CLASS=FOLDER; near twins of photos that were "
        "trained on are left out.",
        flag="elsewhere",
    )


@dataclass(frozen=True, slots=True)
class BundleConfig:
    """What the bundle is called, and what is in it."""

    name: str | None = setting(None, "The model's name.  [default: that of the taxonomy]", flag="name")
    version: str = setting("0.1.0", "The model's version.", flag="model-version")
    store_weights: bool = setting(
        True, "Add the backbone's weights, if they were trained, so that training can go on from the bundle."
    )
    store_replay: bool = setting(True, "Add what binsight adapt needs to teach it a camera, 2 MB.")
    licence: str | None = setting(None, "The model's own licence, for its card, such as apache-2.0.  [default: other]")
    about: str | None = setting(
        None, "A Markdown file that goes into the card: what the model is for, its sources, its weaknesses."
    )


@dataclass(frozen=True)
class FineTuneConfig(FineTuneSettings):
    """Training the backbone too, from the fitted heads on; `augment` is a section by itself."""

    enabled: bool = setting(True, "Train the backbone after the heads.", flag="fine-tune")
    seeds: tuple[int, ...] = setting(
        (), "Train once with each of these seeds, and average the weights (a soup).  [default: --seed]",
        low=0, high=2**31 - 1, flag="seeds",
    )  # fmt: skip
    average: tuple[float, ...] = setting(
        (0.6,),
        "Shares of the trained weights in the average with the start (WiSE-FT); of several, the best on val. 0 is the "
        "frozen backbone.",
        low=0.0,
        high=1.0,
    )
    views: int = setting(
        0,
        "Altered views of each photo to train on, computed up to the last frozen layer once: several times faster on a "
        "processor (EfficientNet-Lite). 0: alter photos anew every time.",
        low=0,
        high=1000,
    )
    head_views: int = setting(
        0, "With views: so many of them, too, the heads are fitted on that the training starts from.", low=0, high=1000
    )
    plain_share: float = setting(0.25, "With views: the share of photos seen as they are.", low=0.0, high=1.0)
    dropout: float = setting(0.0, "Dropped in front of the heads while the backbone is trained.", low=0.0, high=0.95)
    log_to: tuple[str, ...] = setting(
        ("csv",), "Where each epoch is written.", choices=("csv", "tensorboard", "mlflow"), flag="log-to"
    )


@dataclass(frozen=True, slots=True)
class AugmentConfig(AugmentSettings):
    """How photos are altered while the backbone is trained."""

    strength: str = setting("strong", "What the settings below start from.", choices=tuple(STRENGTHS), flag="augment")

    @classmethod
    def of(cls, strength: str = "strong", **changes: Any) -> AugmentConfig:
        """The settings of a strength, with some changed."""
        return cls(**asdict(augment_strength(strength, **changes)), strength=strength)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A whole training.

    Raises:
        SettingsError: listing every fault.
    """

    preset: str = setting("best", "Where the settings start from.", choices=("best", "fast", "original"), flag="preset")
    seed: int = setting(0, "Of everything that is drawn at random.", low=0, high=2**31 - 1, flag="seed")
    data: DataConfig = field(default_factory=DataConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    heads: HeadConfig = field(default_factory=HeadConfig)
    tuning: TuningConfig = field(default_factory=TuningConfig)
    original: OriginalConfig = field(default_factory=OriginalConfig)
    fine_tune: FineTuneConfig = field(default_factory=FineTuneConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig.of)
    review: ReviewConfig = field(default_factory=ReviewConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    bundle: BundleConfig = field(default_factory=BundleConfig)

    def __post_init__(self) -> None:
        if faults := config_faults(self):
            raise SettingsError("; ".join(faults))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form; settings that are left open are None."""
        plain: dict[str, Any] = _plain(asdict(self))
        plain["fine_tune"].pop("augment")  # it is the section augment
        return plain

    def to_toml(self) -> str:
        """The file that gives this configuration; what is left open is left out."""
        import tomli_w  # noqa: PLC0415 - only writing needs it

        return tomli_w.dumps(_without_none(self.to_dict()))

    def fine_tune_settings(self) -> FineTuneSettings:
        """What `fine_tune` takes."""
        names = [f.name for f in fields(FineTuneSettings) if f.name != "augment"]
        return FineTuneSettings(**{n: getattr(self.fine_tune, n) for n in names}, augment=self.augment)

    def spec(self, own: PreprocessSpec) -> PreprocessSpec:
        """How photos are prepared, given how the backbone has it by itself."""
        chosen = {key: value for key, value in asdict(self.preprocess).items() if value is not None}
        size = self.backbone.size
        return PreprocessSpec(**asdict(own) | chosen | ({"size": (size, size)} if size else {}))


def all_options() -> tuple[Option, ...]:
    """Every setting, in the order of the file."""
    found = list(section_options(TrainConfig, ""))
    for name, section in SECTIONS.items():
        found += section_options(section, name)
    return tuple(replace(o, default=None) if _is_of_strength(o) else o for o in found)


def config_faults(config: TrainConfig) -> list[str]:
    """Everything that is wrong with a configuration."""
    faults = section_faults(config, "")
    for name in SECTIONS:
        faults += section_faults(getattr(config, name), name)
    return faults or list(_combined_faults(config))


def _combined_faults(config: TrainConfig) -> Iterator[str]:
    """What is wrong with values that are each allowed by themselves."""
    data, tuned = config.data, config.fine_tune
    yield from licence_faults(data.licences)
    yield from held_out_faults(data.hold_out)
    if data.val <= 0 or data.val + data.test >= 1:
        yield (f"data: expected a share for val, and some left for train, got val {data.val:g} and test {data.test:g}")
    if tuned.enabled and not any(tuned.average):
        yield "fine_tune.average: expected a share above 0 among them; --no-fine-tune leaves the backbone as it is"
    if config.heads.kind == "bundle" and not config.backbone.name.startswith(BUNDLE_PREFIX):
        yield f"heads.kind: heads of a bundle need its backbone, bundle:PATH, got the backbone {config.backbone.name}"
    if config.heads.kind == "bundle" and tuned.head_views:
        yield f"fine_tune.head_views: heads of a bundle are not fitted anew, got {tuned.head_views}"
    if tuned.head_views > tuned.views:
        yield f"fine_tune.head_views: expected no more than there are views, {tuned.views}, got {tuned.head_views}"


def _is_of_strength(option: Option) -> bool:
    """Whether a setting's default is that of the strength of the augmentation."""
    return option.section == "augment" and option.name != "strength"


SECTIONS: Final[Mapping[str, Any]] = {
    name: kind for name, kind in typing.get_type_hints(TrainConfig).items() if is_dataclass(kind)
}
"""The sections of a file, in their order."""


def _plain(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _plain(value) for key, value in values.items()}
    return list(values) if isinstance(values, tuple) else values


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }
