"""Schemathesis makes requests out of the OpenAPI document, good and bad: no answer is other than documented.

Photos made of random bytes are no photos, so a request that fits the document may still be refused; which refusals may
come is in the document.
"""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from binsight.serving.security import new_key

KEY, STORED = new_key("boss")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture
def document(make_app, bundle, tmp_path):
    """Return the document of a server with the calls for the operator and for labellers turned on, too."""
    app = make_app(
        models=(str(bundle),),
        admin_keys=(STORED,),
        max_photo_bytes=5000,
        teach_dir=tmp_path / "lessons",
        loop_dir=tmp_path / "loop",
        label_keys=(STORED,),
    )
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


def name_what_exists(case) -> None:
    """Put the model that is served in the place of random names, so that more than 404 is tried."""
    names = {"name": "tiny", "version": "1.0.0", "photo": "0" * 64}
    if case.path_parameters:
        case.path_parameters = {key: names.get(key, value) for key, value in case.path_parameters.items()}
    if case.query:
        case.query.pop("model", None)
    case.headers["Authorization"] = f"Bearer {KEY}"


@pytest.mark.filterwarnings("ignore")  # about Schemathesis' own use of its libraries
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_every_answer_is_documented(document, mode):
    """Status, content type, headers and body are those of the document, and no 5xx."""
    for found in document.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
            continue  # nothing about it could be bad

        @settings(
            max_examples=10,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case):
            if mode is GenerationMode.POSITIVE:
                name_what_exists(case)
            case.call_and_validate(checks=CHECKS)

        run()
