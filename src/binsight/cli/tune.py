"""`binsight tune`: search the settings of a head, and plot what matters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.data_options import dataset_options
from binsight.cli.options import FILE, FOLDER, json_option, option
from binsight.cli.text import markup, new_table, open_console, plain, print_json
from binsight.cli.training_options import (
    SettingsCommand,
    features_option,
    resolve_settings,
    setting_options,
    training_means,
)
from binsight.pipeline.config import all_options

if TYPE_CHECKING:
    from binsight.pipeline.tune import TuneResult

__all__ = ["tune"]

_SECTIONS = ("data", "backbone", "preprocess", "heads", "tuning")
_TRIALS_SHOWN = 10


@setting_options([option for option in all_options() if option.section in _SECTIONS or option.name == "seed"])
@click.command(cls=SettingsCommand)
@dataset_options
@option("--out", type=FOLDER, default="tuning", help="Where table and pictures go.")
@option("--config", type=FILE, help="Settings in TOML, as for train.")
@option(
    "--work",
    type=FOLDER,
    help="Where features and study are kept; that of a training may be shared.  [default: DIR.work]",
)
@features_option
@option("--resume", is_flag=True, help="Go on with the study in the work folder.")
@option("--overwrite", is_flag=True, help="Throw away what the work folder holds.")
@json_option()
def tune(
    out: Path, config: Path | None, work: Path | None, resume: bool, overwrite: bool, as_json: bool, **options: Any
) -> None:
    """Search the learning rate, the inner layer's size and the dropout of a head on frozen features.

    Features are computed once; a trial then takes seconds. A fifth of train judges. The study is kept in a database
    and may be continued, or shared between machines (--study-storage). Written are trials.csv, pictures of what each
    setting does, and best.toml for binsight train --config.

    \b
    Examples:
      binsight tune photos/ --out tuning --trials 50
      binsight tune photos/ --out tuning --trials 100 --resume
      binsight tune photos/ --study-storage postgresql://me@host/studies
      binsight train photos/ --out mine --preset fast --config tuning/best.toml
    """
    settings = resolve_settings(config, options)
    from binsight.pipeline.tune import tune as run

    with training_means(options) as (found, means):
        work = work or out.with_name(f"{out.name}.work")
        result = run(found, settings, out, work=work, resume=resume, overwrite=overwrite, **means)
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result)


def _print(result: TuneResult) -> None:
    console = open_console()
    names = list(result.best.params)
    table = new_table("Trial", "Accuracy", *(n.replace("_", " ") for n in names), "epoch")
    complete = sorted((t for t in result.trials if not t.pruned), key=lambda t: (-t.value, t.number))
    for trial in complete[:_TRIALS_SHOWN]:
        cells = (f"{trial.params[name]:.4g}" for name in names)
        table.add_row(str(trial.number), f"{trial.value:.2%}", *cells, str(trial.epoch))
    console.print(table)
    pruned = len(result.trials) - len(complete)
    console.print(f"{len(result.trials)} trials, {pruned} of them stopped early, {result.seconds:.0f} s")
    for name, share in result.importance.items():
        console.print(f"{markup(name.replace('_', ' '))} explains {share:.0%} of the differences")
    for path in result.files:
        click.echo(f"written: {plain(str(path))}")
