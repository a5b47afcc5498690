"""What the OpenAPI document says of one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

__all__ = ["Answers", "Method", "Operation"]

Method = Literal["get", "post", "delete"]
Answers = tuple[type[BaseModel], ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call.

    Attributes:
        method: in lower case.
        path: with `{parameters}`.
        summary: one line.
        answer: what a 200 carries: types of JSON (one of them), or a media type of text.
        problems: the codes it may answer with, beside those that every call may.
        query: the type of its query parameters.
        tag: the group it belongs to.
        guarded: whether it needs an API key when keys are configured.
        body: the type of its JSON body, where that is all there is to it.
        creates: whether 201 is possible beside 200.
    """

    method: Method
    path: str
    summary: str
    answer: Answers | str
    problems: tuple[str, ...] = ()
    query: type[BaseModel] | None = None
    tag: str = "Server"
    guarded: bool = False
    body: type[BaseModel] | None = None
    creates: bool = False
