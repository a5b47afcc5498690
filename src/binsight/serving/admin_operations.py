"""The calls for the operator, as the OpenAPI document lists them."""

from __future__ import annotations

from binsight.serving import schemas
from binsight.serving.operation import Method, Operation

__all__ = ["ADMIN_OPERATIONS", "SHADOW_OPERATIONS"]

ADMIN_OPERATIONS = tuple(
    Operation(
        "post",
        f"/admin/models/{{name}}/{action}",
        summary,
        (schemas.ModelChange,),
        ("unauthorized", "forbidden", "unknown_model", "reload_busy", *problems),
        query=query,
        tag="Admin",
    )
    for action, summary, problems, query in (
        (
            "reload",
            "Load the bundle anew, verify, warm and swap it.",
            ("bad_parameter", "bundle", "rolled_back", "loading", "draining"),
            schemas.ReloadQuery,
        ),
        (
            "promote",
            "Make a model of the registry its champion, and serve it.",
            ("bad_parameter", "bundle", "conflict", "not_proven", "loading", "draining"),
            schemas.PromoteQuery,
        ),
        ("rollback", "Bring the version before back; in a registry for good.", ("bundle", "conflict"), None),
    )
)

_SHADOWS: tuple[tuple[Method, str, str], ...] = (
    ("post", "shadow", "Let the challenger see live photos too, a share of them."),
    ("delete", "shadow", "Let no model see live photos beside the one that answers."),
    ("get", "evidence", "How models compare on live photos, by the labels of those on which they differ."),
)
SHADOW_OPERATIONS = tuple(
    Operation(
        method,
        f"/admin/models/{{name}}/{action}",
        summary,
        (schemas.Evidence,),
        ("forbidden", "unknown_model", "bad_parameter", "conflict", "ledger_away", "loading", "draining"),
        query=schemas.ShadowQuery if (method, action) == ("post", "shadow") else None,
        tag="Admin",
    )
    for method, action, summary in _SHADOWS
)
