"""Calls for the operator; they exist only when an admin key is configured."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, g, request

from binsight.errors import BinsightError, BundleError
from binsight.loop.registry import RegistryError
from binsight.serving.api import json_response, parse_query
from binsight.serving.models import Change, NoRollbackError, ReloadBusyError, RolledBackError
from binsight.serving.problems import ProblemError
from binsight.serving.schemas import ModelChange, PromoteQuery, ReloadQuery
from binsight.serving.service import Service, current_service

__all__ = ["admin_blueprint"]

_log = logging.getLogger("binsight.serving")


def admin_blueprint() -> Blueprint:
    """`POST /admin/models/{name}/reload`, `/promote` and `/rollback`."""
    blueprint = Blueprint("admin", __name__)
    blueprint.add_url_rule("/admin/models/<name>/reload", view_func=_reload, endpoint="reload", methods=["POST"])
    blueprint.add_url_rule("/admin/models/<name>/rollback", view_func=_rollback, endpoint="rollback", methods=["POST"])
    blueprint.add_url_rule("/admin/models/<name>/promote", view_func=_promote, endpoint="promote", methods=["POST"])
    return blueprint


def _reload(name: str) -> Response:
    service = current_service()
    service.check_ready()
    service.model(name)
    query = parse_query(request.args, ReloadQuery)
    try:
        return _changed(service, name, service.reload(name, force=query.force))
    except BinsightError as error:
        raise _problem(name, error) from None


def _promote(name: str) -> Response:
    service = current_service()
    service.check_ready()
    service.model(name)
    query = parse_query(request.args, PromoteQuery)
    try:
        change = service.store.promote(name, query.model, by=g.client, override=query.override)
    except BinsightError as error:
        raise _problem(name, error) from None
    return _changed(service, name, change)


def _rollback(name: str) -> Response:
    service = current_service()
    service.model(name)
    try:
        return _changed(service, name, service.store.rollback(name, by=g.client))
    except BinsightError as error:
        raise _problem(name, error) from None


def _problem(name: str, error: BinsightError) -> ProblemError:
    if isinstance(error, ReloadBusyError | RolledBackError | NoRollbackError | RegistryError):
        return _unchanged(error)
    # Errors of files name paths of the server; they are for its log only.
    _log.error("model %s was not changed: %s", name, error)
    detail = str(error) if isinstance(error, BundleError) else "the bundle cannot be read where it was"
    return ProblemError("bundle", detail)


def _unchanged(error: BinsightError) -> ProblemError:
    code = "conflict" if error.code == "registry" else error.code
    return ProblemError(code, str(error), retry_after_s=1 if isinstance(error, ReloadBusyError) else None)


def _changed(service: Service, name: str, change: Change) -> Response:
    return json_response(
        ModelChange(
            name=name,
            result=change,
            version=service.model(name).version,
            previous_version=service.store.previous_version(name),
        ).to_json()
    )
