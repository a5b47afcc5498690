"""Teach a bundle a camera with a few photos of each class: `binsight adapt`; see docs/adapt.md."""

from binsight.adapt.adaptation import adapt, next_version
from binsight.adapt.camera import MOST, NOT_WASTE
from binsight.adapt.result import ENOUGH, Adaptation, ClassResult, Lesson, Suspect

__all__ = ["ENOUGH", "MOST", "NOT_WASTE", "Adaptation", "ClassResult", "Lesson", "Suspect", "adapt", "next_version"]
