"""A sorter whose PLC is the Modbus TCP server: the line writes into its holding registers and polls its answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from binsight.line.config import LineConfig
from binsight.line.ports import Clock
from binsight.line.records import Command
from binsight.line.sorters.plc import PlcSorter
from binsight.line.sorters.register_map import (
    EMPTY_SLOT,
    HOLDING_SIZE,
    LANES_AT,
    RING_AT,
    RING_SLOTS,
    STATUS_AT_CLIENT,
    decode_answers,
    encode_lanes,
    encode_status,
    slot_address,
)

__all__ = ["ModbusClientSorter"]

_TIMEOUT_S = 1.0
_POLL_S = 0.01
_POLL_WHILE_AWAITING_S = 0.002  # an answer


class ModbusClientSorter(PlcSorter):
    """For every connection there is a new client, and an empty ring; see `ports.Sorter`.

    `TCP_NODELAY` is set by asyncio itself.
    """

    def __init__(self, config: LineConfig, *, clock: Clock) -> None:
        super().__init__("modbus-client", config, clock=clock)
        self._outbox: deque[Command] = deque()
        self._wake = asyncio.Event()
        self._written: dict[int, tuple[int, ...]] = {}  # what the PLC was told of the line, by address

    def send(self, command: Command) -> bool:
        """Hand a command over to be written at once; False when there is no link or the ring is full."""
        if not super().send(command):
            return False
        self._outbox.append(command)
        self._soon(self._wake.set)
        return True

    async def _serve(self) -> None:
        address = urlsplit(self._config.sorter.url)
        client = AsyncModbusTcpClient(
            address.hostname or "127.0.0.1", port=address.port or 502, timeout=_TIMEOUT_S, retries=0, reconnect_delay=0
        )
        try:
            if not await client.connect():
                raise ConnectionError(f"no connection to {self._config.sorter.url}")
            self._wake, self._written = asyncio.Event(), {}
            await self._clear_ring(client)
            # What stands there was meant for an earlier moment, and its heartbeat proves nothing yet.
            self._answers = decode_answers(await self._read(client))
            self._established()
            while not self._closing.is_set():
                await self._talk(client)
        finally:
            client.close()
            self._set_link(up=False)
            self._outbox.clear()

    async def _talk(self, client: AsyncModbusTcpClient) -> None:
        await self._write_commands(client)
        self._hear(await self._read(client))
        was_up = self._up
        self._check_heartbeat()
        if was_up and not self._up:
            raise ConnectionError("the PLC's heartbeat stands still")
        with self._lock:
            status, lanes = encode_status(self._published), encode_lanes(self._published)
        for address, registers in ((STATUS_AT_CLIENT, status), (LANES_AT, lanes)):
            if self._written.get(address) != registers:
                await self._write(client, address, registers)
                self._written[address] = registers
        pause_s = _POLL_WHILE_AWAITING_S if self._awaits_answer() else _POLL_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        self._wake.clear()

    async def _write_commands(self, client: AsyncModbusTcpClient) -> None:
        """In one request each, in the order of the registers: the sequence number at the end comes last."""
        while self._outbox:
            command, now = self._outbox.popleft(), self._clock.now()
            if now > command.deadline_s or not self._up:
                self.dropped += 1
            else:
                await self._write(client, slot_address(command.seq), self._slot(command, now))

    async def _clear_ring(self, client: AsyncModbusTcpClient) -> None:
        # A PLC that was away longer than we were must not find commands of an earlier day.
        half = EMPTY_SLOT * (RING_SLOTS // 2)
        for address in (RING_AT, RING_AT + len(half)):
            await self._write(client, address, half)

    async def _read(self, client: AsyncModbusTcpClient) -> Sequence[int]:
        answer = await client.read_holding_registers(0, count=HOLDING_SIZE, device_id=self._config.sorter.device_id)
        return _checked(answer, "reading 0")

    async def _write(self, client: AsyncModbusTcpClient, address: int, registers: Sequence[int]) -> None:
        answer = await client.write_registers(address, list(registers), device_id=self._config.sorter.device_id)
        _checked(answer, f"writing {address}")


def _checked(answer: ModbusPDU, doing: str) -> Sequence[int]:
    if answer.isError():
        raise ConnectionError(f"the PLC refuses {doing} and following holding registers: {answer}")
    return answer.registers
