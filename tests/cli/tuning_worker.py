"""One of several `binsight tune` in a process of its own, which stops in its second trial: see test_tune_shared.py.

python -m tests.cli.tuning_worker GO ARGUMENTS… waits there for the file GO; GO.tried says how many trials it has begun.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.tiny import make_small

from binsight.cli import main
from binsight.training.heads import search

go, *arguments = sys.argv[1:]
fit, trials = search.fit_small_network, []


def fit_or_wait(*args: Any, **options: Any) -> Any:
    """Fit, but in the second trial only once the file is there."""
    trials.append(1)
    if len(trials) == 2:
        print("waiting", flush=True)
        while not Path(go).exists():
            time.sleep(0.01)
    Path(f"{go}.tried").write_text(str(len(trials)))
    return fit(*args, **options)


if __name__ == "__main__":
    search.fit_small_network = fit_or_wait
    make_small(pytest.MonkeyPatch())
    sys.argv[1:] = arguments
    main()
