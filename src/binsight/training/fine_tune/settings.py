"""How a network is fine-tuned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final

from binsight.errors import SettingsError
from binsight.training.augment.settings import STRENGTHS, AugmentSettings

__all__ = ["FineTuneSettings"]


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """Everything that decides what a run of `fine_tune` does, but the photos, the network and the seed.

    Attributes:
        epochs: how often the network sees as many photos as there are.
        batch_size: photos per step.
        learning_rate: the highest one, of the heads' weights too.
        final_share: the learning rate at the end, as a share of the highest.
        warmup_epochs: epochs in which the rate rises, fractions allowed.
        weight_decay: decoupled, of kernels only (AdamW).
        start_regularisation: pull of the backbone's weights to where they started, decoupled like the decay (L2-SP).
        backbone_rate: the backbone's learning rate, as a share of the heads'.
        first_rate: the learning rate of the backbone's first layer, as a share of its last; between them it changes
            geometrically (discriminative rates).
        frozen_share: the share of the backbone's layers, from the first on, that is not trained; 1 trains heads only.
        freeze_norm: batch normalisation keeps the statistics and factors it has.
        label_smoothing: share of each target that goes to all classes alike.
        mixup_alpha: of the beta distribution that the shares of two mixed photos are drawn from; 0: no mixup.
        cutmix_alpha: likewise of the areas of cutmix. With both, each batch draws one of them.
        mix: share of photos that are mixed.
        class_balance: 0 draws photos as they are; 1 draws all classes equally often; between, in proportion to
            `count ** (1 - class_balance)`.
        biodegradable_weight: factor of the second head's loss.
        ema_decay: of the running mean of the weights that is evaluated and kept; 0: none.
        average_last: epochs at the end whose weights are averaged; 0: none.
        early_stop_patience: epochs without a better validation before the run ends; 0: never.
        mixed_precision: compute in bfloat16 on a GPU; changes nothing without one.
        augment: how photos are altered.

    Raises:
        SettingsError: listing every fault.

    References:
        AdamW: Loshchilov and Hutter 2019, arXiv 1711.05101. L2-SP: Li et al. 2018, arXiv 1802.01483. Discriminative
        rates: Howard and Ruder 2018, arXiv 1801.06146. Label smoothing: Szegedy et al. 2016, arXiv 1512.00567. Mixup:
        Zhang et al. 2018, arXiv 1710.09412. CutMix: Yun et al. 2019, arXiv 1905.04899. Averages along the run:
        Izmailov et al. 2018, arXiv 1803.05407.
    """

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 3e-4
    final_share: float = 0.01
    warmup_epochs: float = 1.0
    weight_decay: float = 0.01
    start_regularisation: float = 0.0
    backbone_rate: float = 1.0
    first_rate: float = 1.0
    frozen_share: float = 0.0
    freeze_norm: bool = True
    label_smoothing: float = 0.1
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    mix: float = 1.0
    class_balance: float = 1.0
    biodegradable_weight: float = 0.5
    ema_decay: float = 0.0
    average_last: int = 0
    early_stop_patience: int = 0
    mixed_precision: bool = False
    augment: AugmentSettings = field(default_factory=lambda: STRENGTHS["strong"])

    def __post_init__(self) -> None:
        if faults := [fault for f in fields(self) if (fault := _fault(f.name, getattr(self, f.name)))]:
            raise SettingsError("fine-tuning: " + "; ".join(faults))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form that `from_dict` reads back."""
        values = asdict(self)
        augment = {key: list(v) if isinstance(v, tuple) else v for key, v in values["augment"].items()}
        return values | {"augment": augment}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FineTuneSettings:
        """Settings from plain data; what is missing keeps its default.

        Raises:
            SettingsError: a key is unknown, or a value is out of range.
        """
        augment = data.get("augment", {})
        _check_known(data, cls, "fine-tuning")
        _check_known(augment, AugmentSettings, "augmentation")
        ranges: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in augment.items()}
        given = {"augment": AugmentSettings(**ranges)} if "augment" in data else {}
        return cls(**dict(data) | given)


# Field → the least and the largest allowed value, and whether it must be whole; all others are shares, in [0, 1].
_BOUNDS: Final[Mapping[str, tuple[float, float, bool]]] = MappingProxyType(
    {
        "epochs": (1, 100_000, True),
        "batch_size": (1, 1_000_000, True),
        "learning_rate": (1e-12, 10, False),
        "warmup_epochs": (0, 100_000, False),
        "weight_decay": (0, 1e6, False),
        "start_regularisation": (0, 1e6, False),
        "backbone_rate": (0, 100, False),
        "first_rate": (1e-6, 1, False),
        "mixup_alpha": (0, 100, False),
        "cutmix_alpha": (0, 100, False),
        "biodegradable_weight": (0, 1000, False),
        "ema_decay": (0, 0.999_999, False),
        "average_last": (0, 100_000, True),
        "early_stop_patience": (0, 100_000, True),
    }
)
_FLAGS: Final = ("freeze_norm", "mixed_precision")


def _fault(name: str, value: Any) -> str | None:
    if name == "augment":
        return None if isinstance(value, AugmentSettings) else f"augment must be AugmentSettings, got {value!r}"
    if name in _FLAGS:
        return None if isinstance(value, bool) else f"{name} must be true or false, got {value!r}"
    least, most, whole = _BOUNDS.get(name, (0, 1, False))
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not math.isfinite(value) or not least <= value <= most:
        return f"{name} must be a {'whole ' if whole else ''}number in [{least}, {most}], got {value!r}"
    return None


def _check_known(data: Mapping[str, Any], kind: type[Any], name: str) -> None:
    known = [f.name for f in fields(kind)]
    if unknown := [key for key in data if key not in known]:
        raise SettingsError(f"{name} has no {', '.join(map(str, unknown))}; there are {', '.join(known)}")
