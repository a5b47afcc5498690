"""Calls for the operator; they exist only when an admin key is configured."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import Blueprint, Response, g, request

from binsight.errors import BinsightError, BundleError, OutputError
from binsight.loop.registry import RegistryError
from binsight.serving.api import json_response, parse_query
from binsight.serving.models import Change, NoRollbackError, ReloadBusyError, RolledBackError
from binsight.serving.problems import ProblemError
from binsight.serving.schemas import ModelChange, PromoteQuery, ReloadQuery
from binsight.serving.service import Service, current_service

__all__ = ["admin_blueprint", "put_in_place"]

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
    return put_in_place(service, name, lambda: service.reload(name, force=query.force))


def _promote(name: str) -> Response:
    service = current_service()
    service.check_ready()
    service.model(name)
    query, by = parse_query(request.args, PromoteQuery), g.client
    return put_in_place(service, name, lambda: service.store.promote(name, query.model, by=by, override=query.override))


def _rollback(name: str) -> Response:
    service = current_service()
    service.model(name)
    by = g.client
    return put_in_place(service, name, lambda: service.store.rollback(name, by=by))


def put_in_place(service: Service, name: str, change: Callable[[], Change]) -> Response:
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
    return json_response(
        ModelChange(
            name=name,
            result=result,
            version=service.model(name).version,
            previous_version=service.store.previous_version(name),
        ).to_json()
    )
