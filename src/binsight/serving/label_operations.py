"""The calls of photos that are kept and labelled, as the OpenAPI document lists them."""

from __future__ import annotations

from pydantic import BaseModel

from binsight.serving import label_schemas, schemas
from binsight.serving.operation import Answers, Method, Operation

__all__ = ["FORGET", "LABEL_OPERATIONS"]

FORGET = Operation(
    "delete",
    "/photos/{receipt}",
    "Delete a photo that is kept for labelling.",
    (schemas.ForgottenAnswer,),
    ("unknown_photo", "feedback_unavailable", "rate_limited"),
    tag="Photos",
    guarded=True,
)


_LABEL_BODY = ("bad_request", "bad_parameter", "slow_upload", "length_required", "too_large", "unsupported_media_type")
_LABELS: tuple[tuple[Method, str, str, Answers | str, tuple[str, ...], type[BaseModel] | None], ...] = (
    ("get", "/status", "How far labelling is, and the answers there are.", (label_schemas.LabelStatus,), (), None),
    (
        "post",
        "/next",
        "Photos to label, leased.",
        (label_schemas.LabelItems,),
        _LABEL_BODY,
        label_schemas.LabelQuestion,
    ),
    (
        "post",
        "/grid",
        "Photos that may all be of one class.",
        (label_schemas.LabelGridOffer,),
        ("length_required",),
        None,
    ),
    (
        "post",
        "/grid/answer",
        "Say which of them are something else.",
        (label_schemas.LabelGridTaken,),
        _LABEL_BODY,
        label_schemas.GridBody,
    ),
    ("post", "/undo", "Take back the last label.", (label_schemas.LabelUndone,), ("length_required",), None),
    (
        "post",
        "/items/{item}",
        "Say what a photo shows.",
        (label_schemas.LabelTaken,),
        ("unknown_photo", "already_labelled", *_LABEL_BODY),
        label_schemas.LabelBody,
    ),
    ("get", "/items/{item}/photo", "The photo.", "image/jpeg", ("unknown_photo",), None),
    ("post", "/items/{item}/reveal", "What the model said.", (label_schemas.LabelReveal,), ("unknown_photo",), None),
    ("post", "/items/{item}/skip", "Leave it open.", (label_schemas.LabelTaken,), ("unknown_photo",), None),
)
LABEL_OPERATIONS = tuple(
    Operation(
        method, "/label" + path, summary, answer, ("ledger_away", "forbidden", "rate_limited", *problems), tag="Labels",
        body=body,
    )
    for method, path, summary, answer, problems, body in _LABELS
)  # fmt: skip
