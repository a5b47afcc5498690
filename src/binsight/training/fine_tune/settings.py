"""How a network is fine-tuned."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from binsight.errors import SettingsError
from binsight.settings import check_section, setting
from binsight.training.augment.settings import STRENGTHS, AugmentSettings

__all__ = ["FineTuneSettings"]


@dataclass(frozen=True)
class FineTuneSettings:
    """Everything that decides what a run of `fine_tune` does, but the photos, the network and the seed.

    Attributes:
        augment: how photos are altered; the other settings say what they mean themselves.

    Raises:
        SettingsError: listing every fault.

    References:
        AdamW: Loshchilov and Hutter 2019, arXiv 1711.05101. Label smoothing: Szegedy et al. 2016, arXiv 1512.00567.
        Averages along the run: Izmailov et al. 2018, arXiv 1803.05407. Outlier exposure: Hendrycks et al. 2019, arXiv
        1812.04606.
    """

    epochs: int = setting(
        10, "How often the network sees as many photos as there are.", low=1, high=100_000, flag="epochs"
    )
    batch_size: int = setting(32, "Photos per step.", low=1, high=1_000_000, flag="batch-size")
    learning_rate: float = setting(3e-4, "The highest one.", low=1e-12, high=10, flag="learning-rate")
    final_share: float = setting(0.01, "The learning rate at the end, as a share of the highest.", low=0, high=1)
    warmup_epochs: float = setting(1.0, "Epochs in which the rate rises, fractions allowed.", low=0, high=100_000)
    weight_decay: float = setting(0.01, "Decoupled, of kernels only (AdamW).", low=0, high=1e6)
    frozen_share: float = setting(
        0.0,
        "Share of the backbone's layers with weights, from the first on, that is not trained; with views, up to the "
        "last shortcut within it. 1 trains heads only.",
        low=0,
        high=1,
    )
    freeze_norm: bool = setting(True, "Batch normalisation keeps the statistics and factors it has.")
    label_smoothing: float = setting(0.1, "Share of each target that goes to all classes alike.", low=0, high=1)
    class_balance: float = setting(
        1.0,
        "0 draws photos as they are; 1 draws all classes equally often; between, in proportion to count ** (1 - it).",
        low=0,
        high=1,
    )
    source_balance: float = setting(
        0.0,
        "Likewise for the sources within a class, as the manifest's column source names them: 0 draws photos as they "
        "are, 1 all sources equally often.",
        low=0,
        high=1,
    )
    outlier_share: float = setting(
        0.1,
        "So many photos of none of the classes, for each other one, teach the network not to be sure.",
        low=0,
        high=10,
    )
    biodegradable_weight: float = setting(0.5, "Factor of the second head's loss.", low=0, high=1000)
    ema_decay: float = setting(
        0.0, "Of the running mean of the weights that is evaluated and kept; 0: none.", low=0, high=0.999_999
    )
    keep: str = setting("best", "Which epoch's weights: the best on val, or the last.", choices=("best", "last"))
    early_stop_patience: int = setting(
        0, "Epochs without a better validation before the run ends; 0: never.", low=0, high=100_000
    )
    mixed_precision: bool = setting(False, "Compute in bfloat16 on a GPU; changes nothing without one.")
    augment: AugmentSettings = field(default_factory=lambda: STRENGTHS["strong"])

    def __post_init__(self) -> None:
        check_section(self, "fine_tune")
        if not isinstance(self.augment, AugmentSettings):
            raise SettingsError(f"fine_tune.augment: expected AugmentSettings, got {self.augment!r}")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        values = asdict(self)
        return values | {"augment": {k: list(v) if isinstance(v, tuple) else v for k, v in values["augment"].items()}}
