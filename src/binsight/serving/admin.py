"""Calls for the operator; they exist only when an admin key is configured."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict

from flask import Blueprint, g, request

from binsight.errors import BinsightError, BundleError, OutputError
from binsight.loop.registry import RegistryError
from binsight.loop.standing import read_comparisons
from binsight.loop.trials import begin_challenge, end_trial
from binsight.serving.calls import WAITING, Calls, parse_query
from binsight.serving.models import Change, NoRollbackError, ReloadBusyError, RolledBackError
from binsight.serving.problems import ProblemError
from binsight.serving.schemas import (
    Answer,
    ComparisonAnswer,
    Evidence,
    ModelChange,
    PromoteQuery,
    ReloadQuery,
    ShadowQuery,
)
from binsight.serving.service import Service, current_service
from binsight.serving.shadow import Shadow

__all__ = ["ADMIN", "SHADOW", "admin_blueprint", "put_in_place"]

_log = logging.getLogger("binsight.serving")


_RELOAD = ("bad_parameter", "bundle", "rolled_back", *WAITING)
_PROMOTE = ("bad_parameter", "bundle", "conflict", "not_proven", *WAITING)
_EVIDENCE = "How models compare on live photos, by the labels of those on which they differ."

ADMIN = Calls("Admin", "/admin/models/{name}", problems=("unauthorized", "forbidden", "unknown_model", "reload_busy"))
SHADOW = Calls(
    "Admin",
    "/admin/models/{name}",
    problems=("forbidden", "unknown_model", "bad_parameter", "conflict", "ledger_away", *WAITING),
)


def admin_blueprint(*, has_shadow: bool) -> Blueprint:
    """`POST /admin/models/{name}/reload`, `/promote`, `/rollback`; `POST|DELETE …/shadow`, `GET …/evidence`."""
    blueprint = ADMIN.add_to(Blueprint("admin", __name__))
    return SHADOW.add_to(blueprint) if has_shadow else blueprint


@ADMIN.call("post", "/reload", "Load the bundle anew, verify, warm and swap it.", ModelChange, _RELOAD, ReloadQuery)
def _reload(name: str) -> Answer:
    service = current_service()
    service.check_ready()
    service.model(name)
    query = parse_query(request.args, ReloadQuery)
    return put_in_place(service, name, lambda: service.reload(name, force=query.force))


@ADMIN.call(
    "post",
    "/promote",
    "Make a model of the registry its champion, and serve it.",
    ModelChange,
    _PROMOTE,
    PromoteQuery,
)
def _promote(name: str) -> Answer:
    service = current_service()
    service.check_ready()
    service.model(name)
    query, by = parse_query(request.args, PromoteQuery), g.client
    return put_in_place(service, name, lambda: service.store.promote(name, query.model, by=by, override=query.override))


@ADMIN.call(
    "post", "/rollback", "Bring the version before back; in a registry for good.", ModelChange, ("bundle", "conflict")
)
def _rollback(name: str) -> Answer:
    service = current_service()
    service.model(name)
    by = g.client
    return put_in_place(service, name, lambda: service.store.rollback(name, by=by))


@SHADOW.call("post", "/shadow", "Let the challenger see live photos too, a share of them.", Evidence, query=ShadowQuery)
def _begin_shadow(name: str) -> Answer:
    shadow = _shadow(name)
    share, by = parse_query(request.args, ShadowQuery).share, g.client
    return _shadowed(name, shadow, lambda: begin_challenge(shadow.registry, by=by, share=share))


@SHADOW.call("delete", "/shadow", "Let no model see live photos beside the one that answers.", Evidence)
def _end_shadow(name: str) -> Answer:
    shadow = _shadow(name)
    by = g.client

    def end() -> None:
        for run in shadow.runs:
            end_trial(shadow.registry, run.trial, by=by, reason=f"ended by {by}")

    return _shadowed(name, shadow, end)


@SHADOW.call("get", "/evidence", _EVIDENCE, Evidence)
def _evidence(name: str) -> Answer:
    return _shadowed(name, _shadow(name), lambda: None)


def _shadow(name: str) -> Shadow:
    service = current_service()
    service.check_ready()
    service.model(name)
    assert service.shadow is not None  # noqa: S101 - there are no such calls without one
    if name != service.store.registered:
        raise ProblemError("conflict", f"model {name!r} is in no registry: nothing is compared with it")
    return service.shadow


def _shadowed(name: str, shadow: Shadow, change: Callable[[], object]) -> Answer:
    """Change something, and say how the models compare."""
    try:
        change()
        shadow.look()
        comparisons = read_comparisons(shadow.keeper.queue)
    except RegistryError as error:
        raise ProblemError("conflict", str(error)) from None
    except BinsightError as error:
        _log.error("the shadow of %s: %s", name, error)
        detail = "the registry or the loop cannot be read or written now; the server's log says why"
        raise ProblemError("ledger_away", detail, retry_after_s=2) from None
    return Evidence(
        name=name,
        shadow=[f"{run.model.bundle.manifest.name} {run.model.version}" for run in shadow.runs],
        refused=list(shadow.refused.values()),
        waiting=shadow.waiting,
        results={str(result): count for result, count in shadow.results.items()},
        comparisons=[ComparisonAnswer(**asdict(each)) for each in comparisons],
    )


def put_in_place(service: Service, name: str, change: Callable[[], Change]) -> Answer:
    """Change which bundle is served under a name, and say what came of it.

    Raises:
        ProblemError: nothing was changed.
    """
    try:
        result = change()
    except (NoRollbackError, ReloadBusyError, RolledBackError, RegistryError) as error:
        retry_after_s = 1 if isinstance(error, ReloadBusyError) else None
        code = "conflict" if error.code == "registry" else error.code
        raise ProblemError(code, str(error), retry_after_s=retry_after_s) from None
    except OutputError as error:  # that it is served could not be kept for the next start
        _log.error("model %s was not changed: %s", name, error)
        raise ProblemError("lesson_unavailable", "what is to be served could not be written down") from None
    except BinsightError as error:
        # Other errors name paths of the server; they are for its log only.
        _log.error("model %s was not changed: %s", name, error)
        detail = str(error) if isinstance(error, BundleError) else "the bundle cannot be read where it was"
        raise ProblemError("bundle", detail) from None
    return ModelChange(
        name=name,
        result=result,
        version=service.model(name).version,
        previous_version=service.store.previous_version(name),
    )
