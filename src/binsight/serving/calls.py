"""What a call of the API is: its address, what the OpenAPI document says of it, and the view that answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from flask import Blueprint, Response, request
from pydantic import BaseModel, ValidationError

from binsight.serving.problems import ProblemError, validation_problem
from binsight.serving.schemas import Answer
from binsight.serving.uploads import read_body

__all__ = ["BODY", "BUSY", "PHOTO", "WAITING", "Call", "Calls", "json_response", "parse_body", "parse_query"]

Given = TypeVar("Given", bound=BaseModel)
View = TypeVar("View", bound=Callable[..., Answer | Response])
Method = Literal["get", "post", "delete"]

BODY = ("bad_request", "bad_parameter", "slow_upload", "length_required", "too_large", "unsupported_media_type")
"""What a call with a JSON body may answer with."""
PHOTO = ("empty", "not_an_image", "broken", "truncated")
WAITING = ("loading", "draining")
BUSY = ("queue_full", "rate_limited", *WAITING, "deadline")

_MAX_JSON = 100_000
_RULE = str.maketrans("{}", "<>")
_WORD = str.maketrans("/{}.", "____")


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        method: in lower case.
        path: with `{parameters}`.
        summary: one line.
        answer: what a 200 carries: a type of JSON, one of several, or a media type of text.
        problems: the codes it may answer with, beside those that every call may.
        query: the type of its query parameters.
        tag: the group it belongs to.
        guarded: whether it needs an API key when keys are configured.
        body: the type of its JSON body, where that is all there is to it; `BODY` is among its problems then.
        creates: whether 201 is possible beside 200.
        view: answers it.
    """

    method: Method
    path: str
    summary: str
    answer: type[BaseModel] | tuple[type[BaseModel], ...] | str
    problems: tuple[str, ...]
    query: type[BaseModel] | None
    tag: str
    guarded: bool
    body: type[BaseModel] | None
    creates: bool
    view: Callable[..., Answer | Response]

    @property
    def answers(self) -> tuple[type[BaseModel], ...]:
        """The types of JSON that a 200 may carry."""
        return () if isinstance(self.answer, str) else self.answer if isinstance(self.answer, tuple) else (self.answer,)

    def add_to(self, blueprint: Blueprint) -> None:
        """Let a blueprint answer it; the view's `query` says which parameters it knows."""

        def respond(**parts: Any) -> Response:
            found = self.view(**parts)
            return found if isinstance(found, Response) else json_response(found)

        respond.query = self.query  # type: ignore[attr-defined]
        rule = self.path.replace("{view}", "{int:view}").translate(_RULE)
        blueprint.add_url_rule(rule, (self.method + self.path).translate(_WORD), respond, methods=[self.method.upper()])


class Calls:
    """Calls that belong together; each is declared by the decorator of its view.

    Args:
        tag: the group's name.
        prefixes: what all addresses begin with; of several, each makes a call of its own.
        problems: what all may answer with.
        changing: what those may answer with that change something.
        guarded: whether they need an API key when keys are configured.
    """

    def __init__(
        self,
        tag: str,
        *prefixes: str,
        problems: tuple[str, ...] = (),
        changing: tuple[str, ...] = (),
        guarded: bool = False,
    ) -> None:
        self._tag, self._prefixes, self._guarded = tag, prefixes, guarded
        self._problems, self._changing = problems, changing
        self._calls: dict[str, list[Call]] = {prefix: [] for prefix in prefixes}

    def call(
        self,
        method: Method,
        path: str,
        summary: str,
        answer: type[BaseModel] | tuple[type[BaseModel], ...] | str,
        problems: tuple[str, ...] = (),
        query: type[BaseModel] | None = None,
        *,
        body: type[BaseModel] | None = None,
        creates: bool = False,
    ) -> Callable[[View], View]:
        """Declare a call; see `Call`. `path` is the rest of its address, `problems` are its alone."""
        more = (*self._problems, *(self._changing if method != "get" else ()), *(BODY if body else ()))
        codes = tuple(dict.fromkeys((*problems, *more)))

        def declare(view: View) -> View:
            for prefix, calls in self._calls.items():
                about = (summary, answer, codes, query, self._tag, self._guarded, body, creates, view)
                calls.append(Call(method, prefix + path, *about))
            return view

        return declare

    def __iter__(self) -> Iterator[Call]:
        return (call for calls in self._calls.values() for call in calls)

    def add_to(self, blueprint: Blueprint) -> Blueprint:
        """Let a blueprint answer them."""
        for call in self:
            call.add_to(blueprint)
        return blueprint


def json_response(answer: Answer | bytes, status: int = 200) -> Response:
    """A response with a JSON body."""
    body = answer if isinstance(answer, bytes) else answer.to_json()
    return Response(body, status, mimetype="application/json")


def parse_query(values: Mapping[str, str], kind: type[Given]) -> Given:
    """The parameters of a call; 400 when one is not valid."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise validation_problem(error) from None


def parse_body(kind: type[Given]) -> Given:
    """A JSON body of that type; 400 or 415 when it is not."""
    if request.mimetype != "application/json":
        raise ProblemError("unsupported_media_type", f"expected application/json, got {request.mimetype[:100]!r}")
    try:
        return kind.model_validate_json(read_body(request, _MAX_JSON))
    except ValidationError as error:
        raise validation_problem(error) from None
