"""Problem details."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from flask import Flask

from binsight import errors
from binsight.serving.problems import KINDS, ProblemError, image_problem, problem_response

DOCS = Path(__file__).parents[2] / "docs" / "http-api.md"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.EmptyImageError, 400),
        (errors.ImageTooLargeError, 413),
        (errors.UnsupportedImageError, 415),
        (errors.BrokenImageError, 422),
        (errors.TruncatedImageError, 422),
    ],
)
def test_each_refused_photo_has_its_status(error, status):
    """The library's errors keep their codes."""
    problem = image_problem(error("why"))
    assert (problem.status, problem.kind, problem.detail) == (status, error.code, "why")


def test_every_refusal_of_a_photo_is_known():
    """A new kind of image error needs a status; until then it is a broken photo."""
    known = {e.code for e in (errors.EmptyImageError, *errors.ImageError.__subclasses__())}
    assert known <= set(KINDS)


def test_the_answer_has_the_members_of_rfc_9457():
    """And the code, the request's id, and when to come back."""
    with Flask("test").app_context():
        response = problem_response(ProblemError("queue_full", "128 wait", retry_after_s=1.2), "id-1")
    assert response.mimetype == "application/problem+json"
    assert response.headers["Retry-After"] == "2"
    assert json.loads(response.data) == {
        "type": "/docs#problem-queue_full",
        "title": KINDS["queue_full"].title,
        "status": 429,
        "code": "queue_full",
        "detail": "128 wait",
        "request_id": "id-1",
    }


def test_a_detail_is_cut_to_a_length():
    """No answer grows with what was sent."""
    assert len(ProblemError("bad_request", "x" * 10_000).detail) == 500


@pytest.mark.skipif(not DOCS.is_file(), reason="not in the source tree")
def test_the_table_in_the_docs_has_every_code_under_its_status():
    """And none that does not exist."""
    section = DOCS.read_text(encoding="utf-8").partition("## Errors")[2].partition("## Under load")[0]
    rows = re.findall(r"^\| ([0-9, ]+) \| ([^|]+) \|", section, re.MULTILINE)
    listed = {code: numbers for numbers, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert set(listed) == set(KINDS)
    assert {code for code, kind in KINDS.items() if str(kind.status) not in listed[code]} == set()
