"""Teach a bundle a camera with a few photos of each class: `binsight adapt`; see docs/adapt.md."""

from binsight.adapt.adaptation import adapt
from binsight.adapt.camera import NOT_WASTE
from binsight.adapt.result import Adaptation, ClassResult, Suspect

__all__ = ["NOT_WASTE", "Adaptation", "ClassResult", "Suspect", "adapt"]
