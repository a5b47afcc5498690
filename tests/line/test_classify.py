"""The network's thread: what waits, and what is refused."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.patience import PATIENCE_S

from binsight.line.classify import ClassifierThread
from binsight.line.records import Box, View

if TYPE_CHECKING:
    from collections.abc import Sequence

VIEW = View(1, 0.0, Box(0, 0, 8, 8), np.zeros((8, 8, 3), np.uint8))


class SlowNetwork:
    """Says nothing until it may."""

    def __init__(self) -> None:
        self.may, self.began = threading.Event(), threading.Event()

    def predict_images(self, images: Sequence[Any]) -> list[Any]:
        self.began.set()
        assert self.may.wait(PATIENCE_S)
        return ["seen"] * len(images)


def test_a_slow_network_keeps_room_for_pieces_that_no_view_was_seen_of() -> None:
    """Views that would only add to a decision are refused first, and answered last; what is urgent, in order."""
    network, answers = SlowNetwork(), []
    thread = ClassifierThread(network, post=lambda call: call(), waiting=4, waiting_more=1)

    def ask(name: str, *, urgent: bool) -> bool:
        return thread([VIEW], lambda views: answers.append((name, views[0].prediction)), urgent=urgent)

    assert ask("first", urgent=True)
    assert network.began.wait(PATIENCE_S)
    assert ask("more", urgent=False)
    assert not ask("even more", urgent=False)
    assert [ask(f"urgent {i}", urgent=True) for i in range(4)] == [True, True, True, False]
    network.may.set()
    thread.close()
    assert answers == [(name, "seen") for name in ("first", "urgent 0", "urgent 1", "urgent 2", "more")]
