"""`binsight adapt`: teach a model a camera."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.options import BUNDLE, FILE, PLACE, Command, json_option, option, quiet_option, workers_option
from binsight.cli.progress import stages
from binsight.cli.text import plain, print_first, print_json

if TYPE_CHECKING:
    from binsight.adapt import Adaptation
    from binsight.taxonomy import WasteClass

__all__ = ["adapt"]

_LISTED = 10
_MAY_BE_LOST = 0.005
_COMPOST = "compost"


@click.command(cls=Command)
@click.argument("bundle", type=BUNDLE)
@click.argument("photos", type=PLACE)
@option("--out", type=PLACE, required=True, metavar="BUNDLE", help="The new bundle: a folder, or a .zip file.")
@option("--overwrite", is_flag=True, help="Replace the bundle at --out.")
@option(
    "--new-class",
    "new",
    multiple=True,
    metavar="NAME=STREAM",
    help="A folder that is a class the model does not have yet, and where its items go. Repeatable.",
)
@option("--taxonomy", type=FILE, help="New classes as TOML, with title, advice and biodegradability.")
@workers_option()
@json_option()
@quiet_option("No progress bar.")
def adapt(
    bundle: str,
    photos: Path,
    out: Path,
    overwrite: bool,
    new: tuple[str, ...],
    taxonomy: Path | None,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Teach the model BUNDLE the camera that took PHOTOS, and write the new model to --out.

    PHOTOS is a folder per class, called as the model's classes are: any two classes or more, 3 to 500 photos each,
    about 15 to 20 for a good result, of different pieces, taken by the camera where it will work. not-waste/ holds its
    empty places. It takes seconds to a minute, changes neither BUNDLE nor PHOTOS, and needs no other photos: what the
    model knows it keeps. Each figure printed is of photos that were left out. The result can be taught again.

    \b
    Examples:
      binsight adapt waste8 belt/ --out belt-model
      binsight predict tomorrow/ --model belt-model
      binsight adapt belt-model more-of-it/ --out belt-model-2
      binsight adapt waste8 bin/ --out bin.zip --new-class glass=recycling
    """
    from binsight.adapt import adapt as teach

    with stages(quiet=quiet) as stage:
        result = teach(
            bundle,
            photos,
            out,
            new_classes=_new_classes(new, taxonomy),
            overwrite=overwrite,
            workers=workers,
            stage=stage,
        )
    added = {c.name for c in result.classes if c.is_new}
    for name in (text.partition("=")[0].strip() for text in new):
        if name not in added:
            click.echo(
                f"note: --new-class {plain(name)} had no effect: no folder of a class of that name is new", err=True
            )
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result)


def _new_classes(new: tuple[str, ...], taxonomy: Path | None) -> list[WasteClass]:
    from binsight.taxonomy import Taxonomy, WasteClass
    from binsight.text_files import read_text

    classes = [] if taxonomy is None else list(Taxonomy.from_toml(read_text(taxonomy)).classes)
    for text in new:
        name, sign, stream = (part.strip() for part in text.partition("="))
        if not (name and sign and stream):
            raise click.BadParameter(
                f"expected NAME=STREAM, such as glass=recycling, got {text!r}", param_hint="--new-class"
            )
        classes.append(WasteClass(name, name.replace("_", " ").capitalize(), stream == _COMPOST, stream))
    return classes


def _print(result: Adaptation) -> None:
    from binsight.adapt.card import as_share

    width = max(len(c.name) for c in result.classes)
    for c in result.classes:
        what = "reviewed" if c.name == "not-waste" else "right"
        copies = f", {c.distinct} different" if c.distinct < c.photos else ""
        new = " (new)" if c.is_new else ""
        right = f"{what} when left out: {c.right}, before {c.right_before}"
        told = [f"{c.photos} photos{copies}, {right}"] if c.photos else []
        told += [f"{c.again} photos of an earlier lesson, not judged"] if c.again else []
        click.echo(f"{plain(c.name):<{width}}  {'; '.join(told)}{new}")
    click.echo(f"right on this camera: {as_share(result.accuracy)}, before {as_share(result.accuracy_before)}")
    click.echo(f"accepted: {as_share(result.accepted)}, before {as_share(result.accepted_before)}")
    click.echo(
        f"right among the accepted: {as_share(result.accepted_right)}, before {as_share(result.accepted_right_before)}"
    )
    click.echo(f"right on old photos: {as_share(result.known)}, before {as_share(result.known_before)}")
    _print_list("could not be used", [f"{plain(path)}: {plain(why)}" for path, why in result.left_out.items()])
    _print_list("in the wrong folder?", [
        f"{plain(s.path)}: looks like {plain(s.seems)} ({s.probability:.0%})" for s in result.suspects
    ])  # fmt: skip
    _print_list("would need more", [plain(wish) for wish in result.wishes])
    if added := [
        c for c in result.manifest.taxonomy.classes if any(r.is_new and r.name == c.id for r in result.classes)
    ]:
        described = [
            f"{plain(c.id)}: stream {plain(c.stream)}, {'' if c.biodegradable else 'not '}biodegradable" for c in added
        ]
        _print_list("new classes (--taxonomy FILE says otherwise)", described)
    if result.dropped:
        names = ", ".join(map(plain, result.dropped))
        click.echo(f"left behind, for their heads are the old ones: {names}; binsight export makes them anew")
    if result.accuracy.value < result.accuracy_before.value:
        click.echo(
            "note: no better than before on these photos; look at the list of wrong folders, or take more", err=True
        )
    if result.known.value < result.known_before.value - _MAY_BE_LOST:
        click.echo(
            "note: it now knows less of other photos than before; this camera's are hard to reconcile with them",
            err=True,
        )
    click.echo(f"bundle: {plain(str(result.bundle))}")


def _print_list(title: str, lines: list[str]) -> None:
    print_first(lines, _LISTED, lead=f"{title}: ", rest="more; --json lists all")
