"""A sorter whose PLC reads our registers and writes into them: the line is the Modbus TCP server."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from binsight.line.config import LineConfig
from binsight.line.ports import Clock
from binsight.line.sorters.plc import PlcSorter
from binsight.line.sorters.register_map import (
    EMPTY_SLOT,
    HOLDING_SIZE,
    INPUT_SIZE,
    LANES_AT,
    LANES_SIZE,
    RING_AT,
    RING_SLOTS,
    SLOT_SIZE,
    encode_lanes,
    encode_status,
)

__all__ = ["ModbusServerSorter"]

_READ_INPUT = 4
_WRITE_HOLDING = {6, 16, 22, 23}


class ModbusServerSorter(PlcSorter):
    """Whatever is read is one coherent copy of the registers, made for that read; see `ports.Sorter`.

    `TCP_NODELAY` is set on every connection by asyncio itself. The address in the settings is where to listen.
    """

    def __init__(self, config: LineConfig, *, clock: Clock) -> None:
        super().__init__("modbus-server", config, clock=clock)
        self._connections = 0

    async def _serve(self) -> None:
        address = urlsplit(self._config.sorter.url)
        server = ModbusTcpServer(
            self._devices(), address=(address.hostname or "", address.port or 502), trace_connect=self._count_connection
        )
        try:
            await server.serve_forever(background=True)
            self._established()
            while server.is_active():
                await asyncio.sleep(self._config.sorter.heartbeat_s / 4)
                self._check_heartbeat()
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]
            self._connections = 0
            self._set_link(up=False)

    def _devices(self) -> list[SimDevice]:
        unit = self._config.sorter.device_id
        devices = [SimDevice(id=unit, simdata=_blank_registers(), action=self._access)]
        if unit:  # 0 answers to every number; else all others get an answer that says so
            devices.append(SimDevice(id=0, simdata=_blank_registers(), action=_refuse))
        return devices

    def _count_connection(self, connected: bool) -> None:
        self._connections += 1 if connected else -1
        if self._connections <= 0:
            self._set_link(up=False)

    async def _access(
        self,
        function: int,
        _start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if function == _READ_INPUT:
            registers[:INPUT_SIZE] = self._input_registers()
        elif function in _WRITE_HOLDING and values is not None:
            written = range(address, address + count)
            holding = registers[:HOLDING_SIZE]
            holding[address : address + count] = [int(value) for value in values]
            # A PLC that writes all its registers at once begins with what stood in them before.
            self._hear(holding, baseline=not self._up and 0 in written, encoder_written=3 in written)
        return None

    def _input_registers(self) -> list[int]:
        with self._lock:
            status, lanes = encode_status(self._published), encode_lanes(self._published)
            between = RING_AT - LANES_AT - LANES_SIZE
            return [*status, *[0] * (LANES_AT - len(status)), *lanes, *[0] * between, *self._ring_registers()]

    def _ring_registers(self) -> list[int]:
        """All slots as true now; one whose deadline has passed is empty: nobody reads it too late."""
        now, registers = self._clock.now(), list(EMPTY_SLOT * RING_SLOTS)
        for place, told in self._ring.items():
            if now <= told.command.deadline_s:
                registers[place * SLOT_SIZE : (place + 1) * SLOT_SIZE] = self._slot(told.command, now)
        return registers


async def _refuse(*_: object) -> ExcCodes:
    return ExcCodes.GATEWAY_NO_RESPONSE


def _blank_registers() -> tuple[list[SimData], list[SimData], list[SimData], list[SimData]]:
    """Coils, discrete inputs (one of each: the library wants some), holding and input registers."""
    bit = SimData(0, values=False, datatype=DataType.BITS, readonly=True)
    return (
        [bit],
        [bit],
        [SimData(0, count=HOLDING_SIZE, datatype=DataType.REGISTERS)],
        [SimData(0, count=INPUT_SIZE, datatype=DataType.REGISTERS, readonly=True)],
    )
