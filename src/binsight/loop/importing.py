"""Labels given elsewhere, for a loop: a folder per class, a manifest, Label Studio's tasks, CVAT's images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

from binsight.dataset import scan
from binsight.dataset.labels import resolve_classes
from binsight.errors import ImageError, InputError
from binsight.imaging import read_photo, stored_jpeg
from binsight.loop.ledger import utc_text
from binsight.loop.queue import Queue
from binsight.loop.sampling import Chances, Stratum
from binsight.loop.votes import NOT_WASTE, OTHERS
from binsight.progress import Progress, unheard
from binsight.taxonomy import Taxonomy, name_key
from binsight.text_files import read_text

__all__ = ["READERS", "Imported", "import_labels"]

_MODE: Final = "import"
Labels = dict[Path, str]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in.

    Attributes:
        labels: that are new.
        known: photos that this labeller had labelled already.
        left_out: file → why it was not taken.
    """

    labels: int
    known: int
    left_out: Mapping[str, str]


def import_labels(
    queue: Queue, source: Path, form: str, taxonomy: Taxonomy, *, by: str, progress: Progress = unheard
) -> Imported:
    """Put labelled photos into a queue, for training only; one of ten is looked at by a second person.

    A photo that is in the queue already gets the label beside those it has. The same again changes nothing.

    Args:
        queue: of the loop.
        source: a folder or a file, see `READERS`.
        form: one of `READERS`.
        taxonomy: what the class names are matched to; `not waste`, `several` and `unclear` are answers too.
        by: who labelled them.
        progress: told how far it is.

    Raises:
        InputError: the source cannot be read, or holds no labels.
        TaxonomyError: a class is not in the taxonomy.
        OutputError: the queue cannot be written.
    """
    found = READERS[form](source)
    if not found:
        raise InputError(f"{source}: expected labelled photos, found none")
    answers = _answers(set(found.values()), taxonomy, source)
    labels, known, left_out = 0, 0, {}
    for done, (path, name) in enumerate(found.items(), start=1):
        try:
            jpeg = stored_jpeg(read_photo(path))
            is_new = _put(queue, jpeg, answers[name], by)
        except (ImageError, InputError) as error:
            left_out[str(path)] = str(error)
        else:
            labels, known = labels + is_new, known + (not is_new)
        progress(done, len(found))
    return Imported(labels, known, left_out)


def _answers(names: set[str], taxonomy: Taxonomy, source: Path) -> dict[str, str]:
    others = {name_key(answer): answer for answer in OTHERS[:-1]} | {name_key("not-waste"): NOT_WASTE}
    answers = {name: others[name_key(name)] for name in names if name_key(name) in others}
    return answers | resolve_classes(sorted(names - answers.keys()), taxonomy, where=str(source))


def _put(queue: Queue, jpeg: bytes, answer: str, by: str) -> bool:
    item = hashlib.sha256(jpeg).hexdigest()
    kept = queue.put(jpeg, model="", stratum=Stratum("import", ""), confidence=0.0, chances=Chances(0, 0),
                     is_random=False, is_review=False, receipt=f"import:{item}")  # fmt: skip
    if kept is None:
        raise InputError("it was forgotten for good, and is not kept again")
    with queue.changing() as rows:
        done = rows.execute(
            "INSERT OR IGNORE INTO events (token, item, labeller, at, kind, answer, mode, is_gold, saw) "
            "VALUES (?, ?, ?, ?, 'label', ?, ?, 0, 'photo')",
            (f"{_MODE}:{by}:{item}", item, by, utc_text(queue.now()), answer, _MODE),
        )
        return done.rowcount == 1


def _read_data_set(source: Path) -> Labels:
    """A folder per class, or a manifest; `scan` reads both."""
    found = scan(source)
    return {found.file(s): s.class_id for s in found}


def _read_imagefolder(source: Path) -> Labels:
    """Hugging Face's: `metadata.jsonl` with `file_name` and `label`, or a folder per class."""
    path = source / "metadata.jsonl"
    if not path.is_file():
        return _read_data_set(source)
    lines = [_parse(line, path) for line in read_text(path).splitlines() if line.strip()]
    return {_inside(source, row.get("file_name"), path): _text(row.get("label"), "label", path) for row in lines}


def _read_label_studio(source: Path) -> Labels:
    """Label Studio's JSON: of each task the image, and the one choice of its newest annotation."""
    path = source / "tasks.json" if source.is_dir() else source
    tasks = _parse(read_text(path), path)
    if not isinstance(tasks, list):
        raise InputError(f"{path}: expected a list of tasks, as Label Studio exports JSON")
    found: Labels = {}
    for task in tasks:
        given = [a for a in _member(task, "annotations", list) if isinstance(a, dict) and not a.get("was_cancelled")]
        choices = [c for r in _member(given[-1] if given else {}, "result", list) if isinstance(r, dict)
                   for c in _member(_member(r, "value", dict), "choices", list)]  # fmt: skip
        if len(choices) == 1:
            found[_inside(path.parent, _local(_member(task, "data", dict).get("image")), path)] = _text(
                choices[0], "choice", path
            )
    return found


def _read_cvat(source: Path) -> Labels:
    """CVAT for images 1.1: of each image the one tag."""
    path = source / "annotations.xml" if source.is_dir() else source
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{path}: expected annotations as CVAT writes them, got a document type of its own")
    try:
        root = ET.fromstring(text.encode())  # noqa: S314 - without a document type there is nothing to expand
    except ET.ParseError as error:
        raise InputError(f"{path}: expected XML, as CVAT exports images: {error}") from error
    found: Labels = {}
    for image in root.iter("image"):
        tags = [tag.get("label") for tag in image.iter("tag")]
        if len(tags) == 1:
            found[_inside(path.parent, image.get("name"), path)] = _text(tags[0], "label", path)
    return found


def _parse(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON: {error}") from error


def _member(value: Any, name: str, kind: type) -> Any:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, kind) else kind()


def _text(value: Any, name: str, path: Path) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{path}: expected a {name} as text, got {str(value)[:50]!r}")
    return value


def _local(address: Any) -> Any:
    """The file that an address of Label Studio means: `/data/local-files/?d=red/1.jpg`, `/data/upload/1/a.jpg`."""
    if not isinstance(address, str):
        return address
    parts = urlsplit(address)
    wanted = parse_qs(parts.query).get("d")
    return wanted[0] if wanted else unquote(parts.path).removeprefix("/data/upload/").lstrip("/")


def _inside(root: Path, name: Any, path: Path) -> Path:
    """A file below the folder, and never elsewhere, whatever the name says; in `images/` where CVAT puts it."""
    relative = Path(_text(name, "file name", path))
    if relative.is_absolute() or ".." in relative.parts:
        raise InputError(f"{path}: expected files below {root}, got {str(relative)[:200]!r}")
    below = root / "images" / relative
    return below if below.is_file() else root / relative


READERS: Final[dict[str, Callable[[Path], Labels]]] = {
    "csv": _read_data_set,
    "imagefolder": _read_imagefolder,
    "labelstudio": _read_label_studio,
    "cvat": _read_cvat,
}
"""Format → what reads it."""
