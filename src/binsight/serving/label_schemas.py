"""The JSON of `/label`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from binsight.serving.schemas import Answer, Body

__all__ = [
    "GridBody",
    "LabelBody",
    "LabelGrid",
    "LabelGridOffer",
    "LabelGridTaken",
    "LabelItem",
    "LabelItems",
    "LabelQuestion",
    "LabelReveal",
    "LabelStatus",
    "LabelTaken",
    "LabelUndone",
]

PhotoId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LabelQuestion(Body):
    """Asks for photos to label."""

    count: int = Field(default=1, ge=1, le=20)
    skip: list[PhotoId] = Field(default=[], max_length=200, description="Photos not to give now.")


class LabelBody(Body):
    """What a labeller says of a photo."""

    answer: str = Field(min_length=1, max_length=64)
    event: str = Field(min_length=8, max_length=64, description="Names this answer; sent twice, it counts once.")
    ms: int | None = Field(default=None, ge=0, le=86_400_000, description="How long it took.")
    mode: Literal["single"] = "single"
    revealed: bool = Field(default=False, description="Whether the labeller has seen what the model said.")


class GridBody(Body):
    """What a labeller says of a grid: all but those named are of its class."""

    category: str = Field(min_length=1, max_length=64)
    items: list[PhotoId] = Field(min_length=1, max_length=20)
    ticket: str = Field(pattern=r"^[0-9a-f]{64}$", description="As it was given with the grid.")
    wrong: list[PhotoId] = Field(max_length=20, description="Those that are something else.")
    event: str = Field(min_length=8, max_length=64, description="Names this answer; sent twice, it counts once.")


class LabelGrid(Answer):
    """Photos that may all be of one class."""

    category: str
    items: list[str]
    ticket: str


class LabelGridOffer(Answer):
    """A grid; null: there are too few photos alike, or tiles were missed and single photos come first."""

    grid: LabelGrid | None


class LabelGridTaken(Answer):
    """Whether the planted tiles were found; if not, nothing counts as labelled."""

    found: bool
    labelled: int = Field(description="Photos that have a label now.")


class LabelItem(Answer):
    """A photo to label: nothing tells what the model said."""

    id: str
    until: str = Field(description="When the lease ends.")


class LabelItems(Answer):
    """Photos to label, and how many are open."""

    items: list[LabelItem]
    labelled: int = Field(description="By this labeller.")
    open: int


class LabelTaken(Answer):
    """An answer was written, or a photo was skipped."""

    id: str


class LabelUndone(Answer):
    """The photo whose label was taken back; null: there is none."""

    item: LabelItem | None


class LabelReveal(Answer):
    """What the model said."""

    category: str
    confidence: float


class LabelClass(Answer):
    """An answer there is."""

    id: str
    title: str


class LabelStatus(Answer):
    """How far labelling is."""

    labeller: str
    classes: list[LabelClass]
    kept: int
    open: int
    labelled: int
    undecided: int
    by_reason: dict[str, int]
