"""The calls for the operator, as the OpenAPI document lists them."""

from __future__ import annotations

from binsight.serving.operation import Operation, group
from binsight.serving.schemas import Evidence, ModelChange, PromoteQuery, ReloadQuery, ShadowQuery

__all__ = ["ADMIN_OPERATIONS", "SHADOW_OPERATIONS"]

_MODEL = "/admin/models/{name}"
_WAITING = ("loading", "draining")
_RELOAD = ("bad_parameter", "bundle", "rolled_back", *_WAITING)
_PROMOTE = ("bad_parameter", "bundle", "conflict", "not_proven", *_WAITING)
_SHADOW = "Let the challenger see live photos too, a share of them."
_EVIDENCE = "How models compare on live photos, by the labels of those on which they differ."

ADMIN_OPERATIONS = group(
    "Admin",
    _MODEL,
    (
        Operation(
            "post", "/reload", "Load the bundle anew, verify, warm and swap it.", ModelChange, _RELOAD, ReloadQuery
        ),
        Operation(
            "post",
            "/promote",
            "Make a model of the registry its champion, and serve it.",
            ModelChange,
            _PROMOTE,
            PromoteQuery,
        ),
        Operation(
            "post",
            "/rollback",
            "Bring the version before back; in a registry for good.",
            ModelChange,
            ("bundle", "conflict"),
        ),
    ),
    problems=("unauthorized", "forbidden", "unknown_model", "reload_busy"),
)
SHADOW_OPERATIONS = group(
    "Admin",
    _MODEL,
    (
        Operation("post", "/shadow", _SHADOW, Evidence, query=ShadowQuery),
        Operation("delete", "/shadow", "Let no model see live photos beside the one that answers.", Evidence),
        Operation("get", "/evidence", _EVIDENCE, Evidence),
    ),
    problems=("forbidden", "unknown_model", "bad_parameter", "conflict", "ledger_away", *_WAITING),
)
