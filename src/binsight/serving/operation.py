"""What the OpenAPI document says of one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel

__all__ = ["BODY", "Method", "Operation", "group"]

Method = Literal["get", "post", "delete"]

BODY = ("bad_request", "bad_parameter", "slow_upload", "length_required", "too_large", "unsupported_media_type")
"""What a call with a JSON body may answer with."""


@dataclass(frozen=True, slots=True)
class Operation:
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
    """

    method: Method
    path: str
    summary: str
    answer: type[BaseModel] | tuple[type[BaseModel], ...] | str
    problems: tuple[str, ...] = ()
    query: type[BaseModel] | None = None
    tag: str = "Server"
    guarded: bool = False
    body: type[BaseModel] | None = None
    creates: bool = False

    @property
    def answers(self) -> tuple[type[BaseModel], ...]:
        """The types of JSON that a 200 may carry."""
        return () if isinstance(self.answer, str) else self.answer if isinstance(self.answer, tuple) else (self.answer,)


def group(
    tag: str,
    prefix: str,
    operations: Iterable[Operation],
    *,
    problems: tuple[str, ...] = (),
    changing: tuple[str, ...] = (),
    guarded: bool = False,
) -> tuple[Operation, ...]:
    """Calls that belong together.

    Args:
        tag: the group's name.
        prefix: what all addresses begin with.
        operations: with the rest of their addresses, and what is theirs alone.
        problems: what all may answer with.
        changing: what those may answer with that change something.
        guarded: whether they need an API key when keys are configured.
    """
    found = []
    for each in operations:
        more = (*problems, *(changing if each.method != "get" else ()), *(BODY if each.body else ()))
        path, codes = prefix + each.path, tuple(dict.fromkeys((*each.problems, *more)))
        found.append(replace(each, path=path, tag=tag, problems=codes, guarded=guarded))
    return tuple(found)
