"""The calls of photos that are kept and labelled, as the OpenAPI document lists them."""

from __future__ import annotations

from binsight.serving import label_schemas as labels
from binsight.serving.operation import Operation, group
from binsight.serving.schemas import ForgottenAnswer

__all__ = ["FORGET", "LABEL_OPERATIONS"]

_GONE = ("unknown_photo",)
_PHOTO = "/items/{item}"

FORGET = group(
    "Photos",
    "/photos/{receipt}",
    [Operation("delete", "", "Delete a photo that is kept for labelling.", ForgottenAnswer)],
    problems=("unknown_photo", "feedback_unavailable", "rate_limited"),
    guarded=True,
)
LABEL_OPERATIONS = group(
    "Labels",
    "/label",
    (
        Operation("get", "/status", "How far labelling is, and the answers there are.", labels.LabelStatus),
        Operation("post", "/next", "Photos to label, leased.", labels.LabelItems, body=labels.LabelQuestion),
        Operation("post", "/grid", "Photos that may all be of one class.", labels.LabelGridOffer, ("length_required",)),
        Operation(
            "post", "/grid/answer", "Say which of them are something else.", labels.LabelGridTaken, body=labels.GridBody
        ),
        Operation("post", "/undo", "Take back the last label.", labels.LabelUndone, ("length_required",)),
        Operation(
            "post",
            _PHOTO,
            "Say what a photo shows.",
            labels.LabelTaken,
            (*_GONE, "already_labelled"),
            body=labels.LabelBody,
        ),
        Operation("get", _PHOTO + "/photo", "The photo.", "image/jpeg", _GONE),
        Operation("post", _PHOTO + "/reveal", "What the model said.", labels.LabelReveal, _GONE),
        Operation("post", _PHOTO + "/skip", "Leave it open.", labels.LabelTaken, _GONE),
    ),
    problems=("ledger_away", "forbidden", "rate_limited"),
)
