"""The Flask application, put together from its blueprints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from binsight.serving.admin import admin_blueprint
from binsight.serving.api import api_blueprint
from binsight.serving.docs_page import docs_blueprint
from binsight.serving.gate import install_gate
from binsight.serving.health import health_blueprint
from binsight.serving.line_metrics import LineCollector
from binsight.serving.line_port import Line
from binsight.serving.lines import lines_blueprint
from binsight.serving.offline import offline_blueprint
from binsight.serving.problems import answer_error
from binsight.serving.service import Service
from binsight.serving.settings import Settings
from binsight.serving.v2 import v2_blueprint, v2_health_blueprint

if TYPE_CHECKING:
    from binsight.serving.lessons import Lessons

__all__ = ["create_app"]


def create_app(
    settings: Settings | None = None, *, load: bool = True, log_stream: TextIO | None = None, lines: Sequence[Line] = ()
) -> Flask:
    """A WSGI application that serves the models of `settings`.

    Args:
        settings: by default `Settings()`.
        load: load the models now. When False the application answers 503 until its `Service.load` was called.
        log_stream: where the access log goes; by default standard error.
        lines: have pages, calls and metrics of their own.

    Raises:
        BinsightError: a model is missing or not sound.
    """
    settings = settings or Settings()
    app = Flask("binsight.serving", static_folder=None)
    lessons = _open_lessons(settings)
    service = app.extensions["binsight"] = Service.create(settings, None if lessons is None else lessons.placements)
    install_gate(app, service, log_stream)
    _register_blueprints(app, service, lines)
    if lessons is not None:
        from binsight.serving.lesson_api import lessons_blueprint  # noqa: PLC0415 - only where it is on

        service.end_teaching = lessons.teaching.close
        app.register_blueprint(lessons_blueprint(lessons))
    app.register_error_handler(Exception, answer_error)
    if settings.trusted_proxies:
        n = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]  # as Flask documents
    if load:
        service.load()
    return app


def _open_lessons(settings: Settings) -> Lessons | None:
    if settings.teach_dir is None:
        return None
    from binsight.serving.lessons import Lessons  # noqa: PLC0415 - only where it is on

    return Lessons(settings.teach_dir, max_bytes=settings.teach_max_bytes)


def _register_blueprints(app: Flask, service: Service, lines: Sequence[Line]) -> None:
    from binsight.serving.page import has_runtime, page_blueprint  # noqa: PLC0415

    blueprints = [
        api_blueprint(),
        health_blueprint(),
        docs_blueprint(service.settings, has_lines=bool(lines), has_offline=has_runtime()),
        v2_health_blueprint(),
        v2_blueprint(),
        page_blueprint(),
    ]
    if has_runtime():
        blueprints.append(offline_blueprint())
    if lines:
        from binsight.serving.lines_page import lines_page_blueprint  # noqa: PLC0415

        blueprints += [lines_blueprint(lines), lines_page_blueprint([line.name for line in lines])]
        service.telemetry.registry.register(LineCollector(lines))
    if service.settings.admin_keys:
        blueprints.append(admin_blueprint(has_shadow=service.shadow is not None))
    if service.settings.feedback_dir is not None:
        from binsight.serving.corrections import FeedbackStore  # noqa: PLC0415 - only where it is on
        from binsight.serving.feedback import feedback_blueprint  # noqa: PLC0415

        store = FeedbackStore(service.settings.feedback_dir, max_bytes=service.settings.feedback_max_bytes)
        blueprints.append(feedback_blueprint(store))
    if service.keeper is not None:
        from binsight.serving.claims import ClaimStore  # noqa: PLC0415 - only where it is on
        from binsight.serving.feedback import feedback_blueprint  # noqa: PLC0415
        from binsight.serving.kept import kept_blueprint  # noqa: PLC0415

        blueprints += [kept_blueprint(), feedback_blueprint(ClaimStore(service.keeper.queue))]
        if service.settings.label_keys:
            from binsight.serving.labels import label_page_blueprint, labels_blueprint  # noqa: PLC0415

            blueprints += [label_page_blueprint(), labels_blueprint()]
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
