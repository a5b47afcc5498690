"""What goes in and out over HTTP, as types: they validate requests, shape answers and become the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

__all__ = [
    "Answer",
    "Body",
    "ClassInfo",
    "ComparisonAnswer",
    "Evidence",
    "FeedbackAnswer",
    "ForgottenAnswer",
    "Health",
    "JsonPhoto",
    "KeptAnswer",
    "ModelChange",
    "ModelDetail",
    "ModelList",
    "ModelSummary",
    "PredictQuery",
    "PredictionAnswer",
    "PredictionList",
    "ProblemAnswer",
    "PromoteQuery",
    "Query",
    "Ready",
    "ReloadQuery",
    "ShadowQuery",
    "Version",
]

Score = Annotated[float, Field(ge=0, le=1)]


class Answer(BaseModel):
    """The base of everything that is answered: members that were not set are left out."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    def to_json(self) -> bytes:
        """The JSON text."""
        return self.__pydantic_serializer__.to_json(self, exclude_unset=True)


class Query(BaseModel):
    """The base of what can be asked in the address."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Body(BaseModel):
    """The base of what is sent as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PredictQuery(Query):
    """What can be asked of a prediction in the address."""

    top: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Also list the `top` most probable categories, most probable first."
    )
    heatmap: bool = Field(
        default=False, description="Also return the photo, with what spoke for its category laid over it, as PNG."
    )
    model: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="The model to use, one of `/models`; by default the first."
    )


class ReloadQuery(Query):
    """What can be asked of a reload in the address."""

    force: bool = Field(default=False, description="Also load a bundle that was rolled back.")


class PromoteQuery(Query):
    """What can be asked of a promotion in the address."""

    model: str = Field(
        default="challenger", max_length=64, description="An alias, a version, or the beginning of a hash."
    )
    override: str | None = Field(
        default=None, min_length=1, max_length=500, description="Why it is promoted although no gate let it pass."
    )


class ShadowQuery(Query):
    """What can be asked of a shadow in the address."""

    share: float = Field(default=1.0, gt=0, le=1, description="Of photos, that the challenger sees too.")


class JsonPhoto(Body):
    """One photo inside JSON."""

    image_base64: str = Field(
        description="The photo's file in base64 (RFC 4648), with or without `data:image/…;base64,`."
    )


class ModelRef(Answer):
    """Which model said it."""

    name: str
    version: str
    precision: Literal["float", "int8"] = Field(description="Of the arithmetic of the network that runs.")


class Timing(Answer):
    """Milliseconds spent."""

    decode: float = Field(ge=0)
    infer: float = Field(ge=0)


class TopEntry(Answer):
    """One of the most probable categories."""

    category: str
    confidence: Score


class KeptAnswer(Answer):
    """Says that the photo is kept for people to label, or may be: `DELETE /photos/{receipt}` has it deleted."""

    receipt: str
    until: str = Field(description="The day on which it is deleted if nobody has labelled it.")


class PredictionAnswer(Answer):
    """What is on a photo, how sure that is, and what to do with the item."""

    source: str | None = Field(default=None, description="The file name as given, where several photos were sent.")
    predicted_category: str = Field(description="The most probable category's id.")
    biodegradability: Literal["biodegradable", "non_biodegradable", "unknown"]
    confidence_scores: dict[str, Score] = Field(description="The probability of every category; they sum to 1.")
    confidence: Score = Field(description="The probability of `predicted_category`.")
    biodegradable_probability: Score | None = Field(
        description="The model's own, second estimate; null if it has none."
    )
    decision: Literal["accept", "review"] = Field(description="`review`: too unsure, a person should look.")
    reason: Literal["unfamiliar", "low_confidence", "heads_disagree", "new_camera", "strange_camera"] | None = Field(
        description="Why to review."
    )
    stream: str = Field(description="Where the item goes.")
    advice: str = Field(description="A sentence for the person who holds it.")
    model: ModelRef
    timing_ms: Timing
    top: list[TopEntry] | None = Field(default=None, description="With `?top=`.")
    heatmap: str | None = Field(default=None, description="With `?heatmap=1`: a PNG as `data:` URL.")
    kept: KeptAnswer | None = Field(default=None, description="Where the server keeps the photo for labelling.")


class FileFault(Answer):
    """Why one of several photos has no prediction."""

    code: str
    message: str
    status: int = Field(description="The HTTP status that this photo alone would have got.")


class FileError(Answer):
    """One of several photos that was refused."""

    source: str
    error: FileFault


class PredictionList(RootModel[list[PredictionAnswer | FileError]]):
    """One result for each photo, in the order they were sent."""


class ProblemFault(Answer):
    """One thing that is wrong with a request."""

    field: str
    message: str


class ProblemAnswer(Answer):
    """An error, as RFC 9457 has it; `code` is stable and may be relied on."""

    type: str = Field(description="Where the problem is explained.")
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = Field(default=None, description="As in the access log and the header `X-Request-ID`.")
    errors: list[ProblemFault] | None = Field(default=None, description="All faults, where there are several.")
    error: str | None = Field(default=None, description="Below `/v2`: `detail`, as the Open Inference Protocol has it.")


class Health(Answer):
    """The original health check."""

    status: Literal["ok", "loading", "draining"]
    models: list[str]


class Ready(Answer):
    """Whether photos are taken now."""

    status: Literal["ready"]


class Version(Answer):
    """What runs here."""

    name: Literal["binsight"]
    version: str
    python: str
    onnxruntime: str


class ModelSummary(Answer):
    """A model in a few words."""

    name: str = Field(description="What `?model=` takes.")
    bundle: ModelRef
    default: bool
    loaded_at: str
    previous_version: str | None = Field(description="What a rollback would bring back.")


class ModelList(Answer):
    """The models that can be asked for."""

    models: list[ModelSummary]


class ClassInfo(Answer):
    """What a category means."""

    id: str
    title: str
    biodegradable: bool | None
    stream: str
    advice: str


class ModelDetail(ModelSummary):
    """All about a model."""

    created: str
    input_size: list[int] = Field(description="Height and width of the network's input.")
    classes: list[ClassInfo]
    metrics: dict[str, Any] = Field(description="What was measured on named splits, with 95 % intervals.")
    training: dict[str, Any] = Field(description="How it was made.")


class FeedbackAnswer(Answer):
    """A correction that was kept."""

    model_config = ConfigDict(extra="allow")

    outcome: Literal["stored", "known", "moved"]
    sha256: str
    corrected: str


class ForgottenAnswer(Answer):
    """A kept photo that was deleted."""

    forgotten: Literal[True]


class ModelChange(Answer):
    """What an admin call did."""

    name: str
    result: Literal["loaded", "unchanged", "promoted", "rolled_back"]
    version: str
    previous_version: str | None


class ComparisonAnswer(Answer):
    """How two models compare on live photos."""

    kind: Literal["challenge", "watch"] = Field(description="Is a challenger not worse? Is a new champion worse?")
    old: str = Field(description="The champion, or the one before: name, version, the beginning of its hash.")
    new: str = Field(description="The challenger, or the new champion.")
    began: str
    ended: str | None = Field(description="Null: it goes on.")
    outcome: str = Field(description="Why it has ended.")
    photos: int = Field(description="That both have seen.")
    counted: int = Field(description="Of these, up to the oldest unlabelled one on which they differ.")
    differ: int = Field(description="On which they name different classes.")
    open: int = Field(description="Of these, without a settled label.")
    only_old_right: int
    only_new_right: int
    agreement: float | None = Field(description="Share of the last 200 photos; null: there are fewer.")
    evidence: float
    needed: float = Field(description="The evidence that proves it.")
    photos_more: int | None = Field(description="That would probably prove it, were both equally good.")
    labels_more: int | None = Field(description="How many of these a person would have to label.")


class Evidence(Answer):
    """What live photos say of the models of a registry."""

    name: str
    shadow: list[str] = Field(description="The models in the shadow now.")
    refused: list[str] = Field(description="Why one cannot run there.")
    waiting: int = Field(description="Photos that they have not seen yet.")
    results: dict[str, int] = Field(
        description="Photos since the start: agree, differ, again (the same, or of one burst), failed, dropped (no "
        "time for them), unlabelled (too many wait for labels)."
    )
    comparisons: list[ComparisonAnswer] = Field(description="First those that go on, then the newest.")
