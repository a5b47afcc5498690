"""A sorter whose equipment is a client of the line's OPC UA server."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
from collections import deque
from dataclasses import astuple
from typing import Any
from urllib.parse import urlsplit

from asyncua import Node, Server, ua

from binsight.line.config import LineConfig
from binsight.line.messages import command_message
from binsight.line.ports import Clock
from binsight.line.records import ACK_RESULTS, CONFIRM_RESULTS, Ack, Command, Confirm
from binsight.line.sorters.opcua_tree import ITEM_STATES, LANE_FIELDS, MODES, VISION_STATES, Tree, build_tree
from binsight.line.sorters.session import SessionSorter

__all__ = ["OpcuaSorter"]

_PORT = 4840
_OUTBOX = 8
_RESULTS = 256  # messages about pieces that wait to be told
_KNOWN_RESULTS = 1000  # pieces that were announced: each is once


class OpcuaSorter(SessionSorter):
    """A command is a new value of `Command/Message`; `Acknowledge` and `Confirm` answer it. See `ports.Sorter`.

    The link is up as long as the equipment writes a changing `PeerHeartbeat` or calls a method. After every failure
    there is a new server. `TCP_NODELAY` is set on every connection by asyncio itself. The address in the settings is
    where to listen.
    """

    def __init__(self, config: LineConfig, *, clock: Clock) -> None:
        super().__init__("opcua", config, clock=clock, library="asyncua")
        self._outbox: deque[Command] = deque()
        self._pieces: deque[dict[str, Any]] = deque()
        self._announced: dict[int, None] = {}
        self._wake = asyncio.Event()
        self._peer_heartbeat = 0

    def send(self, command: Command) -> bool:
        """Hand a command over to be told at once; False when there is no link or the server does not keep up."""
        if not self._up or len(self._outbox) >= _OUTBOX:
            self.dropped += 1
            return False
        self._newest = max(self._newest, command.seq)
        self._outbox.append(command)
        self._soon(self._wake.set)
        return True

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:  # noqa: ARG002
        """Keep what can be read, and announce pieces."""
        with self._lock:
            self._published.take(topic, payload)
        if topic == "piece":
            if len(self._pieces) >= _RESULTS:
                self.dropped += 1
                return
            self._pieces.append(dict(payload))
        self._soon(self._wake.set)

    async def _serve(self) -> None:
        server = Server()
        await server.init()
        address = urlsplit(self._config.sorter.url)
        server.set_endpoint(f"opc.tcp://{address.netloc}{'' if address.port else f':{_PORT}'}{address.path}")
        server.set_server_name("binsight")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        methods = {"Acknowledge": self._acknowledge, "Confirm": self._confirm, "Control": self._control}
        tree = await build_tree(server, self._config, methods)
        try:
            await server.start()
            self._wake, self._peer_heartbeat = asyncio.Event(), 0
            self._established()
            while not self._closing.is_set():
                await self._turn(tree)
        finally:
            await server.stop()
            self._set_link(up=False)
            self._outbox.clear()

    async def _turn(self, tree: Tree) -> None:
        while self._outbox:
            await self._tell_command(tree, self._outbox.popleft())
        while self._pieces and not self._outbox:
            await self._announce(tree, self._pieces.popleft())
        await self._show(tree)
        await self._check_link(tree)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.sorter.heartbeat_s / 4):
                await self._wake.wait()
        self._wake.clear()

    async def _tell_command(self, tree: Tree, command: Command) -> None:
        now = self._clock.now()
        if now > command.deadline_s or not self._up:
            self.dropped += 1
            return
        message = command_message(command, now)
        values = {
            "Message": json.dumps(message, separators=(",", ":")),
            "Id": command.id,
            "Lane": command.lane,
            "Target": command.target or 0,
            "FireInMs": min(message["fire_in_ms"], 2**32 - 1),
            "DwellMs": command.dwell_ms,
            "Category": command.category,
            "Confidence": command.confidence,
            "Seq": command.seq % 2**32,
        }
        await _write(tree.command, values)

    async def _announce(self, tree: Tree, piece: dict[str, Any]) -> None:
        if piece["seq"] in self._announced:
            return
        self._announced[piece["seq"]] = None
        if len(self._announced) > _KNOWN_RESULTS:
            del self._announced[next(iter(self._announced))]
        result = {
            "ResultId": f"{self._config.line.name}/{piece['seq']}",
            "PartId": piece["id"],
            "IsSimulated": self._config.camera.source == "simulated",
            "CreationTime": dt.datetime.fromisoformat(piece["t"]),
        }
        shown = {"Category": piece["category"] or "", "Confidence": piece["confidence"] or 0.0}
        await _write(tree.latest, {**result, **shown, "Decision": piece["decision"] or "", "Lane": piece["lane"]})
        for generator in tree.results:
            for name, value in result.items():
                setattr(generator.event, name, value)
            await generator.trigger(message=f"{piece['category'] or 'unknown'}: {piece['decision']}")

    async def _show(self, tree: Tree) -> None:
        with self._lock:
            published = self._published
            line = {
                "Heartbeat": published.heartbeat % 2**32,
                "PackMLState": published.state,
                "PackMLMode": published.mode,
                "Processed": published.processed,
                "ToFailSafe": published.to_fail_safe,
                "Faults": ",".join(sorted(published.faults)),
            }
            lanes = {
                number: dict(zip(LANE_FIELDS, astuple(totals), strict=True))
                for number, totals in published.lanes.items()
            }
        if await _write(tree.line, line):
            await tree.item_state.show(ITEM_STATES[published.state])
            await tree.mode.show(MODES[published.mode])
            await tree.vision_state.show(VISION_STATES[published.state])
        for number, values in lanes.items():
            await _write(tree.lanes.get(number, {}), values)

    async def _check_link(self, tree: Tree) -> None:
        beat = await tree.line["PeerHeartbeat"][0].read_value()
        if beat != self._peer_heartbeat:
            self._peer_heartbeat = beat
            self._heard_s = self._clock.now()
            self._set_link(up=True)
        else:
            self._check_heartbeat()

    async def _acknowledge(self, _parent: ua.NodeId, *arguments: ua.Variant) -> Any:
        return self._answer(arguments, ACK_RESULTS, lambda e, seq, word, now: e.on_ack(Ack(seq, word, now)))

    async def _confirm(self, _parent: ua.NodeId, *arguments: ua.Variant) -> Any:
        return self._answer(arguments, CONFIRM_RESULTS, lambda e, seq, word, now: e.on_confirm(Confirm(seq, word, now)))

    async def _control(self, _parent: ua.NodeId, *arguments: ua.Variant) -> Any:
        if len(arguments) != 1 or not _is_whole(arguments[0].Value) or not 1 <= arguments[0].Value <= 9:
            return self._refused(ua.StatusCodes.BadInvalidArgument)
        if self._events is not None:
            self._events.on_control(arguments[0].Value)
        return []

    def _answer(self, arguments: tuple[ua.Variant, ...], words: tuple[Any, ...], tell: Any) -> Any:
        if len(arguments) != 2:
            missing = len(arguments) < 2
            bad = ua.StatusCodes
            return self._refused(bad.BadArgumentsMissing if missing else bad.BadTooManyArguments)
        seq, word = (argument.Value for argument in arguments)
        if not _is_whole(seq) or word not in words:
            return self._refused(ua.StatusCodes.BadInvalidArgument)
        if not 1 <= seq <= self._newest:
            return self._refused(ua.StatusCodes.BadOutOfRange)
        now = self._heard_s = self._clock.now()
        if self._events is not None:
            tell(self._events, seq, word, now)
        return []

    def _refused(self, code: int) -> ua.StatusCode:
        self.malformed += 1
        return ua.StatusCode(ua.UInt32(code))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


async def _write(nodes: dict[str, tuple[Node, ua.VariantType]], values: dict[str, Any]) -> bool:
    """Write what has changed, in the order of `values`; whether anything had."""
    changed = False
    for key, value in values.items():
        if key not in nodes:
            continue
        node, kind = nodes[key]
        if await node.read_value() != value:
            await node.write_value(ua.Variant(value, kind))
            changed = True
    return changed
