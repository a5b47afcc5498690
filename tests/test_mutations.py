"""The script that makes mistakes on purpose can still make each of them; it is run by hand, since it takes minutes."""

from __future__ import annotations

import pytest
from benchmarks.mutations import MUTATIONS, ROOT


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_has_its_snippet_and_its_tests(mutation):
    """The snippet is in the module once, and the tests that should notice are there."""
    text = (ROOT / mutation.module).read_text(encoding="utf-8")
    assert text.count(mutation.snippet) == 1
    compile(text.replace(mutation.snippet, mutation.mistake), mutation.module, "exec")
    for test in mutation.tests:
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / file).read_text(encoding="utf-8")
