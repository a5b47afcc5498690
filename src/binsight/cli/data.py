"""`binsight data`: everything that is done to photos before a model is trained on them."""

from __future__ import annotations

import click

from binsight.cli.app import LazyGroup

__all__ = ["data"]

_COMMANDS = {
    "Commands": {
        "scan": ("binsight.cli.data_scan:scan", "List the photos of a data set, and what is wrong with it."),
        "audit": ("binsight.cli.audit:audit", "Find duplicates, leakage, wrong labels and shortcuts."),
        "split": ("binsight.cli.data_split:split", "Divide into train, val and test, twins on one side."),
        "clean": ("binsight.cli.data_clean:clean", "Leave out what an audit found, and say why."),
        "explore": ("binsight.cli.data_explore:explore", "Draw counts, sizes, samples and a map of the photos."),
        "fetch": ("binsight.cli.data_fetch:fetch", "Download a public set of waste photos."),
    },
    "Labelled in use": {
        "freeze": ("binsight.cli.data_versions:freeze", "Freeze what is labelled into a version named by its hash."),
        "log": ("binsight.cli.data_versions:log", "List the versions."),
        "diff": ("binsight.cli.data_versions:diff", "Say what changed from one version to another."),
    },
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def data() -> None:
    """Look at photos before a model is trained on them. No command changes a photo.

    DATA is a folder with one folder per class (metal_cans/...), the same below train, val or test, with or without
    biodegradable and non_biodegradable folders between, or a manifest: a CSV or JSONL file with the columns path and
    class, and split if there is one.

    \b
    Examples:
      binsight data scan photos/
      binsight data audit photos/ --html audit.html
      binsight data split photos/ --val 0.1 --test 0.15 --out split.csv
      binsight data explore split.csv --out pictures/
      binsight data fetch trashnet --out trashnet/
    """
