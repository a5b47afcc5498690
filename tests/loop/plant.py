"""A loop that was fed by the plant's camera of `tests.adapt.world`, and a registry with the factory's model."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image
from tests.adapt.world import COLOURS, PLANT_LIGHT, factory_bundle, shots

from binsight.loop.labelling import Labelling
from binsight.loop.queue import Queue
from binsight.loop.registry import Registry
from binsight.loop.sampling import Chances, Stratum

if TYPE_CHECKING:
    from pathlib import Path

FACTORY = "tiny 1.0.0"


def stored(shot) -> bytes:
    """Return the file of a photo."""
    file = io.BytesIO()
    Image.fromarray(shot).save(file, "JPEG", quality=95)
    return file.getvalue()


def feed(queue: Queue, count: int, *, seed: int = 1, names: tuple[str, ...] = tuple(COLOURS)) -> dict[str, str]:
    """Keep photos of the plant, sent to review; return what each is."""
    truth = {}
    for name in names:
        for number, shot in enumerate(shots(name, count, light=PLANT_LIGHT, seed=seed)):
            item = queue.put(
                stored(shot),
                model=FACTORY,
                stratum=Stratum("review", "red"),
                confidence=0.5,
                chances=Chances(0.0, 1.0),
                is_random=number % 3 == 0,
                is_review=True,
                receipt=f"{name}-{seed}-{number}",
            )
            truth[item] = name
    return truth


def label(queue: Queue, truth: dict[str, str]) -> None:
    """Let two people say what each photo is."""
    desk = Labelling(queue, tuple(COLOURS))
    for who in ("ada", "bob"):
        while items := desk.next(who, count=20):
            for item in items:
                desk.answer(who, item.id, truth[item.id], event=f"{who}-{item.id}")


def make_plant(folder: Path, count: int = 12) -> tuple[Queue, Registry]:
    """Make the loop, with so many labelled photos of each colour, and the registry."""
    queue, registry = Queue(folder / "loop", create=True), Registry(folder / "models", create=True)
    registry.add(factory_bundle(folder / "factory"), by="ada")
    label(queue, feed(queue, count))
    return queue, registry
