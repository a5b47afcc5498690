"""What goes in and out about lessons over HTTP, as types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from binsight.serving.schemas import Answer, Body, Query

__all__ = [
    "LessonAnswer",
    "LessonClass",
    "LessonPhoto",
    "LessonPhotoQuery",
    "LessonProgress",
    "LessonResult",
    "NewClass",
    "PhotoChange",
]

_Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Body(Body):
    model_config = ConfigDict(str_strip_whitespace=True)


class LessonPhotoQuery(Query):
    """Of which class a photo is."""

    category: _Text = Field(description="The id of one of the lesson's classes; `not-waste` for empty places.")


class NewClass(_Body):
    """A class that the model does not have yet, as in a taxonomy; or one that was added, to be taken away."""

    id: _Text
    title: _Text | None = Field(default=None, description="For people; by default the id.")
    stream: _Text = Field(default="landfill", description="Where its items go.")
    biodegradable: bool | None = Field(default=None, description="Null only where the model's classes leave it open.")
    advice: Annotated[str, Field(max_length=1000)] = ""
    remove: bool = Field(default=False, description="Take the class away; it must have no photos.")


class PhotoChange(_Body):
    """Where a photo belongs."""

    category: _Text | None = Field(description="The id of its class; null takes the photo away.")


class LessonClass(Answer):
    """A class and its photos."""

    id: str
    title: str
    is_new: bool = Field(description="Whether the model does not have it yet.")
    photos: list[str] = Field(description="Their ids, the SHA-256 of each file, as they came.")


class LessonProgress(Answer):
    """What is being done; `total` is 0 where nobody knows."""

    stage: str
    done: int
    total: int


class LessonResult(Answer):
    """What came of teaching."""

    version: str
    file: str = Field(description="Where the bundle is, on the server.")
    is_current: bool = Field(description="Whether the photos are still those that were learned from.")
    is_served: bool
    figures: dict[str, Any] = Field(description="As `binsight adapt --json` has them: of photos that were left out.")


class LessonAnswer(Answer):
    """A lesson: all there is to know of it."""

    model: str
    version: str = Field(description="Of the bundle in the settings, which is taught.")
    served_version: str
    refusal: str | None = Field(description="Why this model cannot be taught; null when it can.")
    classes: list[LessonClass]
    has_biodegradability: bool = Field(description="Whether a new class must say if it is biodegradable.")
    enough: int = Field(description="About so many different photos of a class bring most of what can be had.")
    most: int = Field(description="More photos of a class are refused.")
    bytes: int = Field(description="What all lessons take.")
    max_bytes: int
    folder: str = Field(description="Where photos and bundles are, on the server.")
    progress: LessonProgress | None = Field(description="While the model is being taught.")
    fault: str | None = Field(description="Why the last attempt came to nothing.")
    result: LessonResult | None
    can_undo: bool = Field(description="Whether a taught bundle is served.")


class LessonPhoto(Answer):
    """A photo of a lesson, and what became of it."""

    id: str
    category: str = Field(description="Its class; of one that was removed, the class it was in.")
    outcome: Literal["stored", "known", "moved", "removed"]
