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
from binsight.serving.api import add_view, parse_query
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

__all__ = ["admin_blueprint", "put_in_place"]

_log = logging.getLogger("binsight.serving")


def admin_blueprint(*, has_shadow: bool) -> Blueprint:
    """`POST /admin/models/{name}/reload`, `/promote`, `/rollback`; `POST|DELETE …/shadow`, `GET …/evidence`."""
    blueprint = Blueprint("admin", __name__)
    views: list[tuple[str, Callable[[str], Answer], str]] = [
        ("reload", _reload, "POST"),
        ("rollback", _rollback, "POST"),
        ("promote", _promote, "POST"),
    ]
    if has_shadow:
        views += [("shadow", _begin_shadow, "POST"), ("shadow", _end_shadow, "DELETE"), ("evidence", _evidence, "GET")]
    for action, view, method in views:
        endpoint = "end_shadow" if method == "DELETE" else action
        add_view(blueprint, f"/admin/models/<name>/{action}", endpoint, view, method)
    return blueprint


def _reload(name: str) -> Answer:
    service = current_service()
    service.check_ready()
    service.model(name)
    query = parse_query(request.args, ReloadQuery)
    return put_in_place(service, name, lambda: service.reload(name, force=query.force))


def _promote(name: str) -> Answer:
    service = current_service()
    service.check_ready()
    service.model(name)
    query, by = parse_query(request.args, PromoteQuery), g.client
    return put_in_place(service, name, lambda: service.store.promote(name, query.model, by=by, override=query.override))


def _rollback(name: str) -> Answer:
    service = current_service()
    service.model(name)
    by = g.client
    return put_in_place(service, name, lambda: service.store.rollback(name, by=by))


def _begin_shadow(name: str) -> Answer:
    shadow = _shadow(name)
    share, by = parse_query(request.args, ShadowQuery).share, g.client
    return _shadowed(name, shadow, lambda: begin_challenge(shadow.registry, by=by, share=share))


def _end_shadow(name: str) -> Answer:
    shadow = _shadow(name)
    by = g.client

    def end() -> None:
        for run in shadow.runs:
            end_trial(shadow.registry, run.trial, by=by, reason=f"ended by {by}")

    return _shadowed(name, shadow, end)


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
