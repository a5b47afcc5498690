"""Empty databases of both kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.line.services import new_database, postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run one PostgreSQL for all tests."""
    with postgres() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of an empty database, of both kinds."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'line.sqlite'}"
    else:
        yield new_database(request.getfixturevalue("postgres_server"))
