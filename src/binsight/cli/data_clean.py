"""`binsight data clean`: leave out what an audit found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.data_options import dataset_options, load_dataset
from binsight.cli.options import FILE, Command, json_option, option
from binsight.cli.text import plain, print_json

if TYPE_CHECKING:
    from binsight.dataset.clean import Cleaned, NearPolicy

__all__ = ["clean"]


@click.command(cls=Command)
@dataset_options
@click.argument("audit", type=FILE)
@option("--out", required=True, type=FILE, help="The manifest to write: .csv or .jsonl.")
@option(
    "--near",
    type=click.Choice(["together", "one", "ignore"]),
    default="together",
    help="Altered copies: keep them together as a group, keep one of each group, or leave them alone.",
)
@option("--keep-conflicts", is_flag=True, help="Keep copies that have different labels.")
@option(
    "--drop",
    multiple=True,
    metavar="KIND",
    help="Also leave out the photos of these findings, such as blank, blurred or label_error; may be repeated.",
)
@option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@json_option()
def clean(
    audit: Path,
    out: Path,
    near: NearPolicy,
    keep_conflicts: bool,
    drop: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a manifest of DATA without what the file AUDIT found, and say for each photo why it is left out.

    Left out are photos that cannot be read, copies that have different labels, copies on the other side of a split
    (those in test stay, then those in val), and all but one of exact copies. No photo is changed or deleted.

    \b
    Examples:
      binsight data audit photos/ --json > audit.json
      binsight data clean photos/ audit.json --out clean.csv
      binsight data clean photos/ audit.json --near one --drop blank --drop label_error --out clean.csv
      binsight data split clean.csv --out split.csv
    """
    from binsight.dataset import write_manifest
    from binsight.dataset.audit import KINDS
    from binsight.dataset.clean import clean as apply_audit
    from binsight.dataset.clean import read_audit

    if unknown := sorted(set(drop) - set(KINDS)):
        raise click.UsageError(f"no kind of finding {', '.join(unknown)}; there is {', '.join(KINDS)}")
    found = load_dataset(**options)
    cleaned = apply_audit(found, read_audit(audit), near=near, keep_conflicts=keep_conflicts, drop=drop)
    write_manifest(cleaned.dataset, out, overwrite=overwrite)
    if as_json:
        print_json(_describe(cleaned, out))
        return
    for loss in cleaned.dropped:
        click.echo(f"{plain(loss.path)}: {loss.reason}: {plain(loss.message)}")
    reasons = Counter(loss.reason for loss in cleaned.dropped)
    total = ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common()) or "nothing to leave out"
    click.echo(f"kept {len(cleaned.dataset):,} of {len(found):,} photos ({total}); written: {plain(str(out))}")


def _describe(cleaned: Cleaned, out: Path) -> dict[str, Any]:
    return {
        "manifest": str(out),
        "kept": len(cleaned.dataset),
        "reasons": dict(Counter(loss.reason for loss in cleaned.dropped)),
        "dropped": [
            {"path": loss.path, "reason": loss.reason, "message": loss.message, "kept": loss.kept}
            for loss in cleaned.dropped
        ],
    }
