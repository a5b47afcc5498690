"""Count modules, lines and functions of a tree of Python files.

python benchmarks/size.py src/binsight
"""

from __future__ import annotations

import ast
import statistics
import sys
from pathlib import Path


def main(root: Path) -> None:
    """Print medians and the largest."""
    files, functions = [], []
    for path in root.rglob("*.py"):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
        files.append((len(text.splitlines()), name))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                documented = ast.get_docstring(node, clean=False) is not None
                lines = (node.end_lineno or 0) - node.lineno + 1
                first = node.body[0]
                said = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
                functions.append((lines - said, f"{name}: {node.name}"))
    print(f"{len(files)} modules, {sum(lines for lines, _ in files):,} lines")
    for what, found in (("file", files), ("function without its docstring", functions)):
        lines, name = max(found)
        print(f"{what}: median {statistics.median(n for n, _ in found):.0f} lines, largest {lines} ({name})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
