"""Everything that may be chosen about a training, as one tree of frozen sections.

Each field has a line in a TOML file (`[section]`, `field = value`) and a flag (`--section-field`, or a shorter one).
`binsight.pipeline.presets` has the named starting points, and puts file and flags on top of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, make_dataclass, replace
from typing import Any, Final

from binsight.errors import SettingsError
from binsight.imaging import PreprocessSpec
from binsight.pipeline.calibrate import ReviewTargets
from binsight.pipeline.mirrored import mirror_fields
from binsight.settings import Option, section_faults, section_options, setting
from binsight.training.augment.settings import STRENGTHS, AugmentSettings, augment_strength
from binsight.training.backbones import backbone_names
from binsight.training.fine_tune.settings import FineTuneSettings

__all__ = [
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

AUGMENTATION_KINDS: Final = ("flip", "rotate", "shift", "shear", "zoom", "brightness", "contrast")


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


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """The network under the heads."""

    name: str = setting("efficientnet_lite0", f"One of {', '.join(backbone_names())}, or bundle:PATH.", flag="backbone")
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
        "steps of the course project.",
        choices=("logistic", "inner", "original"),
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
class TuningConfig:
    """The search for the settings of an inner head: binsight tune, and train with --head inner."""

    trials: int = setting(30, "Combinations to try.", flag="trials", low=1)
    epochs: int = setting(20, "Epochs of each, unless it is stopped early.", low=1)
    prune: bool = setting(True, "Stop a combination that is worse than half of the others were at the same epoch.")
    timeout_s: float | None = setting(None, "Begin no new combination after so many seconds.", low=0.0)
    storage: str | None = setting(
        None, "Database URL of the study, to share it between machines.  [default: a file in the work folder]",
        flag="study-storage",
    )  # fmt: skip
    learning_rate: tuple[float, ...] = setting((1e-5, 1e-1), "Smallest and largest rate, tried by ratio.", low=1e-9)
    inner_sizes: tuple[int, ...] = setting((0, 10, 100, 500), "Units of the inner layer to try; 0 is none.", low=0)
    dropout: tuple[float, ...] = setting((0.0, 0.8), "Smallest and largest dropout.", low=0.0, high=0.95)


@dataclass(frozen=True, slots=True)
class OriginalConfig:
    """What the steps of the original course project try; see `binsight.training.heads.original`."""

    small_size: int = setting(150, "Pixels of the experiments; the final network has the backbone's size.", low=32)
    learning_rates: tuple[float, ...] = setting((1e-4, 1e-3, 1e-2, 1e-1), "Rates to try.", low=1e-9)
    inner_sizes: tuple[int, ...] = setting((10, 100, 500), "Sizes of the inner layer to try.", low=1)
    dropouts: tuple[float, ...] = setting((0.0, 0.2, 0.4, 0.5, 0.8), "Dropouts to try.", low=0.0, high=0.95)
    rate_epochs: int = setting(10, "Epochs for each rate.", low=1)
    size_epochs: int = setting(10, "Epochs for each inner size.", low=1)
    dropout_epochs: int = setting(20, "Epochs for each dropout.", low=1)
    augmentations: tuple[str, ...] = setting(
        AUGMENTATION_KINDS, "Kinds of augmentation to try one by one.", choices=(*AUGMENTATION_KINDS, "none")
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
    unknown: str | None = setting(None, "A folder of photos that are none of the classes.", flag="unknown")


@dataclass(frozen=True, slots=True)
class BundleConfig:
    """What the bundle is called, and what is in it."""

    name: str | None = setting(None, "The model's name.  [default: that of the taxonomy]", flag="name")
    version: str = setting("0.1.0", "The model's version.", flag="model-version")
    store_weights: bool = setting(
        True, "Add the backbone's weights, if they were trained, so that training can go on from the bundle."
    )


@dataclass(frozen=True)
class FineTuneConfig:
    """Training the backbone too, from the fitted heads on. `FINE_TUNE` adds what `FineTuneSettings` has."""

    enabled: bool = setting(True, "Train the backbone after the heads.", flag="fine-tune")
    average: tuple[float, ...] = setting(
        (0.6,),
        "Shares of the trained weights in the average with the start (WiSE-FT); of several, the best on val.",
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
    plain_share: float = setting(0.25, "With views: the share of photos seen as they are.", low=0.0, high=1.0)
    dropout: float = setting(0.0, "Dropped in front of the heads while the backbone is trained.", low=0.0, high=0.95)
    log_to: tuple[str, ...] = setting(
        ("csv",), "Where each epoch is written.", choices=("csv", "tensorboard", "mlflow"), flag="log-to"
    )


@dataclass(frozen=True)
class AugmentConfig:
    """How photos are altered while the backbone is trained. `AUGMENT` adds what `AugmentSettings` has."""

    strength: str = setting("strong", "What the settings below start from.", choices=tuple(STRENGTHS), flag="augment")


_SHORT_FLAGS: Final = {"epochs": "epochs", "batch_size": "batch-size", "learning_rate": "learning-rate"}
FINE_TUNE: Final[Any] = make_dataclass(
    "FINE_TUNE",
    mirror_fields(FineTuneSettings, flags=_SHORT_FLAGS, leave_out=("augment",)),
    bases=(FineTuneConfig,),
    frozen=True,
)
AUGMENT: Final[Any] = make_dataclass(
    "AUGMENT", mirror_fields(AugmentSettings, optional=True), bases=(AugmentConfig,), frozen=True
)


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
    fine_tune: FineTuneConfig = field(default_factory=FINE_TUNE)
    augment: AugmentConfig = field(default_factory=AUGMENT)
    review: ReviewConfig = field(default_factory=ReviewConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    bundle: BundleConfig = field(default_factory=BundleConfig)

    def __post_init__(self) -> None:
        if faults := config_faults(self):
            raise SettingsError("; ".join(faults))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form; settings that are left open are None."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    def to_toml(self) -> str:
        """The file that gives this configuration; what is left open is left out."""
        import tomli_w  # noqa: PLC0415 - only writing needs it

        return tomli_w.dumps(_without_none(self.to_dict()))

    def fine_tune_settings(self) -> FineTuneSettings:
        """The settings of the fine-tuning, without those of the augmentation.

        Raises:
            SettingsError: listing every fault.
        """
        names = [f.name for f in fields(FineTuneSettings) if f.name != "augment"]
        return FineTuneSettings(**{name: getattr(self.fine_tune, name) for name in names})

    def augmentation(self) -> AugmentSettings:
        """How photos are altered while the backbone is trained.

        Raises:
            SettingsError: listing every fault.
        """
        altered = {f.name: getattr(self.augment, f.name) for f in fields(AugmentSettings)}
        return augment_strength(
            self.augment.strength, **{name: value for name, value in altered.items() if value is not None}
        )

    def full_fine_tune_settings(self) -> FineTuneSettings:
        """Both together: what `fine_tune` takes."""
        return replace(self.fine_tune_settings(), augment=self.augmentation())

    def spec(self, own: PreprocessSpec) -> PreprocessSpec:
        """How photos are prepared, given how the backbone has it by itself."""
        chosen = {key: value for key, value in asdict(self.preprocess).items() if value is not None}
        size = self.backbone.size
        return PreprocessSpec(**asdict(own) | chosen | ({"size": (size, size)} if size else {}))


def all_options() -> tuple[Option, ...]:
    """Every setting, in the order of the file."""
    found = list(section_options(TrainConfig, ""))
    for name, section in _SECTIONS.items():
        found += section_options(section, name)
    return tuple(found)


def config_faults(config: TrainConfig) -> list[str]:
    """Everything that is wrong with a configuration."""
    faults = section_faults(config, "")
    for name in _SECTIONS:
        faults += section_faults(getattr(config, name), name)
    return faults or [fault for fault in _combined_faults(config) if fault]


def _combined_faults(config: TrainConfig) -> list[str]:
    """What is wrong with values that are each allowed by themselves."""
    faults = []
    if config.data.val <= 0 or config.data.val + config.data.test >= 1:
        faults.append(
            f"data: expected a share for val, and some left for train, got val {config.data.val:g} and test "
            f"{config.data.test:g}"
        )
    for name in ("learning_rate", "dropout"):
        bounds = getattr(config.tuning, name)
        if len(bounds) != 2 or bounds[0] > bounds[1]:
            faults.append(f"tuning.{name}: expected two rising numbers, got {', '.join(f'{b:g}' for b in bounds)}")
    for check in (config.augmentation, config.fine_tune_settings):
        try:
            check()
        except SettingsError as error:
            faults.append(str(error))
    if not faults and config.fine_tune.views:
        settings = config.fine_tune_settings()
        if settings.mixup_alpha or settings.cutmix_alpha:
            faults.append("fine_tune: views cannot be mixed; leave mixup_alpha and cutmix_alpha at 0, or views")
    return faults


_SECTIONS: Final[dict[str, type]] = {
    "data": DataConfig,
    "backbone": BackboneConfig,
    "preprocess": PreprocessConfig,
    "heads": HeadConfig,
    "tuning": TuningConfig,
    "original": OriginalConfig,
    "fine_tune": FINE_TUNE,
    "augment": AUGMENT,
    "review": ReviewConfig,
    "evaluate": EvaluateConfig,
    "bundle": BundleConfig,
}


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
