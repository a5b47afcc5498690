"""`binsight features`: what the network makes of the photos of a planned job, before it decides."""

from __future__ import annotations

import sys
from typing import Any

import click

from binsight.cli.batch_run import run_here, run_options
from binsight.cli.options import Command, option

__all__ = ["features"]


@click.command(cls=Command)
@click.argument("uri", metavar="URI")
@option("--mirrored", is_flag=True, help="Of the photos' mirror images, into _mirrored: training learns from both.")
@run_options
def features(uri: str, mirrored: bool, **options: Any) -> None:
    """Compute the features of the photos of the job at URI, into its folder _features, a Parquet file for each shard.

    The plan, the engines, what happens when something dies, and the exit codes are those of binsight batch run. Each
    row has source, sha256 and features, float32, as the network of the job's model gives them; error rows have none.
    binsight train --features URI takes them from there.

    \b
    Examples:
      binsight batch plan photos/ --out job1
      binsight features job1
      binsight features job1 --mirrored
      binsight features s3://out/job1 --engine ray --address ray://head:10001
    """
    sys.exit(run_here(uri, kind="mirrored" if mirrored else "features", **options))
