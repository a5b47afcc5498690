"""The mistakes of a model as one HTML file, or as a folder with copies of the photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from binsight.errors import OutputError
from binsight.evaluation.explanation import Explanation
from binsight.evaluation.page import render_page
from binsight.evaluation.report import mistake_card
from binsight.files import write_whole
from binsight.imaging import read_photo
from binsight.pages import data_uri

__all__ = ["render_explanation", "write_folder"]

_LISTED = 12


def write_folder(explanation: Explanation, folder: str | Path, *, copy: bool, overwrite: bool = False) -> None:
    """Write `index.html` and `mistakes.json` into a folder, and on request copies of the photos.

    A copy is called `photos/<label>--<predicted>/<rank>-<name>`; the originals are only read.

    Raises:
        OutputError: the folder holds something already and `overwrite` is false, or it cannot be written.
        InputError: a photo to be copied cannot be read any more.
    """
    folder = Path(folder)
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; pass --overwrite to write into it")
    write_whole(folder / "index.html", render_explanation(explanation))
    write_whole(folder / "mistakes.json", json.dumps(explanation.to_dict(), indent=2) + "\n")
    if copy:
        for rank, (mistake, file) in enumerate(zip(explanation.mistakes, explanation.files, strict=True), start=1):
            target = folder / "photos" / f"{mistake.label}--{mistake.predicted}" / f"{rank:03d}-{file.name}"
            write_whole(target, read_photo(file))


def render_explanation(explanation: Explanation) -> str:
    """The page as HTML: pairs of classes by how often they are confused, in each the most confident first."""
    title = {c.id: c.title for c in explanation.taxonomy.classes}
    cards = [
        {**mistake_card(m, explanation.taxonomy), "rank": rank, "neighbours": [_near(n) for n in near], "pair": pair}
        for rank, (m, near) in enumerate(zip(explanation.mistakes, explanation.neighbours, strict=True), start=1)
        for pair in [(m.label, m.predicted)]
    ]
    pairs: list[dict[str, Any]] = [
        {
            "label": title[c.label],
            "predicted": title[c.predicted],
            "count": c.count,
            "accepted": c.accepted,
            "cards": [card for card in cards if card["pair"] == (c.label, c.predicted)],
        }
        for c in explanation.confusions
    ]
    return render_page(
        "explanation.html.j2",
        name=f"{explanation.model.name} {explanation.model.version}",
        split=explanation.split,
        photos=explanation.photos,
        total=explanation.total,
        shown=len(explanation.mistakes),
        accepted=sum(c.accepted for c in explanation.confusions),
        top=cards[:_LISTED],
        pairs=pairs,
        unreadable=explanation.unreadable,
    )


def _near(neighbour: Any) -> dict[str, Any]:
    photo = data_uri(neighbour.picture) if neighbour.picture else None
    return {"path": neighbour.path, "similarity": neighbour.similarity, "photo": photo}
