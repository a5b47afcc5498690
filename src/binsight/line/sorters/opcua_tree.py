"""The line's nodes in an OPC UA server: docs/line.md shows the tree.

References:
    OPC 40001-1 (Machinery): Machines, Identification, MachineryItemState, MachineryOperationMode and their states.
    OPC 40100-1 (Machine Vision): VisionStateMachine, ResultManagement, ResultReadyEventType.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncua import Node, Server, ua

from binsight import __version__
from binsight.line.config import LineConfig
from binsight.line.packml import Mode, State

__all__ = ["ITEM_STATES", "LANE_FIELDS", "MODES", "VISION_STATES", "StateNodes", "Tree", "build_tree"]

_OWN = "urn:binsight:line"
_DI = "http://opcfoundation.org/UA/DI/"
_MACHINERY = "http://opcfoundation.org/UA/Machinery/"
_VISION = "http://opcfoundation.org/UA/MachineVision"
_MACHINES_ID = 1001  # the folder's number in the namespace of OPC 40001-1
_TYPES = ua.VariantType

# PackML's numbers (0: not told yet) to the states of the two companion specifications.
ITEM_STATES: Mapping[int, str] = {
    0: "NotAvailable",
    **{int(state): "NotExecuting" for state in State},
    State.EXECUTE: "Executing",
    State.HELD: "OutOfService",
    State.ABORTED: "OutOfService",
}
MODES: Mapping[int, str] = {
    0: "None",
    Mode.PRODUCTION: "Processing",
    Mode.MAINTENANCE: "Maintenance",
    Mode.MANUAL: "Setup",
}
VISION_STATES: Mapping[int, str] = {
    0: "Preoperational",
    **{int(state): "Operational" for state in State},
    State.STOPPED: "Halted",
    State.HELD: "Error",
    State.ABORTED: "Error",
}
_ITEM_NUMBERS = {"NotAvailable": 0, "OutOfService": 1, "NotExecuting": 2, "Executing": 3}
_MODE_NUMBERS = {"None": 0, "Maintenance": 1, "Setup": 2, "Processing": 3}
_VISION_NUMBERS = {"Preoperational": 1, "Halted": 2, "Error": 3, "Operational": 4}

_COMMAND_FIELDS = {
    "Message": _TYPES.String,  # the whole of it as JSON, in one value
    "Id": _TYPES.String,
    "Lane": _TYPES.UInt16,
    "Target": _TYPES.UInt32,
    "FireInMs": _TYPES.UInt32,
    "DwellMs": _TYPES.UInt16,
    "Category": _TYPES.String,
    "Confidence": _TYPES.Double,
    "Seq": _TYPES.UInt32,  # written last
}
LANE_FIELDS = {  # as `LaneTotals` has them
    "Pieces": _TYPES.UInt32,
    "Purity": _TYPES.Double,
    "Low": _TYPES.Double,
    "High": _TYPES.Double,
    "Audited": _TYPES.UInt32,
}
_RESULT_FIELDS = {
    "ResultId": _TYPES.String,
    "PartId": _TYPES.String,
    "IsSimulated": _TYPES.Boolean,
    "CreationTime": _TYPES.DateTime,
}
_LATEST_FIELDS = _RESULT_FIELDS | {
    "Category": _TYPES.String,
    "Confidence": _TYPES.Double,
    "Decision": _TYPES.String,
    "Lane": _TYPES.UInt16,
}


def _argument(name: str, kind: ua.VariantType) -> ua.Argument:
    return ua.Argument(Name=ua.String(name), DataType=ua.NodeId(ua.Int32(kind.value)), ValueRank=ua.Int32(-1))


_SEQ_AND_RESULT = [_argument("seq", _TYPES.UInt32), _argument("result", _TYPES.String)]
_ARGUMENTS = {
    "Acknowledge": _SEQ_AND_RESULT,
    "Confirm": _SEQ_AND_RESULT,
    "Control": [_argument("CntrlCmd", _TYPES.Int32)],
}

Method = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class StateNodes:
    """A state machine: what shows its present state, and the nodes of its states."""

    name: Node
    id: Node
    number: Node
    states: Mapping[str, tuple[int, ua.NodeId]]

    async def show(self, word: str) -> None:
        """Be in this state."""
        number, node_id = self.states[word]
        await self.id.write_value(ua.Variant(node_id, _TYPES.NodeId))
        await self.number.write_value(ua.Variant(number, _TYPES.UInt32))
        await self.name.write_value(ua.Variant(ua.LocalizedText(word), _TYPES.LocalizedText))


@dataclass(slots=True)
class Tree:
    """The nodes that change.

    Attributes:
        command, lanes: variables by name, lanes by number first; each with its type, as `(node, type)`.
        line: `Heartbeat`, `PeerHeartbeat`, `PackMLState`, `PackMLMode`, `Processed`, `ToFailSafe`, `Faults`.
        latest: the newest result, under `ResultManagement`.
        results: triggers `ResultReady`, at the vision system and at the server.
    """

    item_state: StateNodes
    mode: StateNodes
    vision_state: StateNodes
    command: dict[str, tuple[Node, ua.VariantType]]
    line: dict[str, tuple[Node, ua.VariantType]]
    latest: dict[str, tuple[Node, ua.VariantType]]
    lanes: dict[int, dict[str, tuple[Node, ua.VariantType]]] = field(default_factory=dict)
    results: list[Any] = field(default_factory=list)


async def build_tree(server: Server, config: LineConfig, methods: Mapping[str, Method]) -> Tree:
    """Add the line to a server that does not listen yet.

    Args:
        server: fresh from `init`.
        config: of the line.
        methods: what to call, by name: `Acknowledge` and `Confirm` (sequence number, word), `Control` (number).
    """
    own, di, machinery, vision = [await server.register_namespace(uri) for uri in (_OWN, _DI, _MACHINERY, _VISION)]
    build = _Builder(server, own)
    name = config.line.name
    machines = await server.nodes.objects.add_folder(
        ua.NodeId(ua.Int32(_MACHINES_ID), ua.Int16(machinery)), f"{machinery}:Machines"
    )
    machine = await machines.add_object(build.id(name), ua.QualifiedName(name, own))
    await build.identification(machine, config, di, machinery)
    item_state = await build.state_machine(machine, machinery, "MachineryItemState", _ITEM_NUMBERS)
    mode = await build.state_machine(machine, machinery, "MachineryOperationMode", _MODE_NUMBERS)

    system = await server.nodes.objects.add_object(build.id(f"{name}Vision"), ua.QualifiedName(f"{name}Vision", own))
    vision_state = await build.state_machine(system, vision, "VisionStateMachine", _VISION_NUMBERS)
    results = await system.add_object(build.id("ResultManagement"), ua.QualifiedName("ResultManagement", vision))
    event = await server.create_custom_event_type(
        vision, "ResultReadyEventType", ua.ObjectIds.BaseEventType, list(_RESULT_FIELDS.items())
    )
    tree = Tree(
        item_state,
        mode,
        vision_state,
        command=await build.variables(machine, "Command", _COMMAND_FIELDS),
        line=await build.line_variables(machine),
        latest=await build.variables(results, "ResultManagement/Latest", _LATEST_FIELDS),
        results=[await server.get_event_generator(event, node) for node in (system.nodeid, ua.ObjectIds.Server)],
    )
    lanes = await machine.add_object(build.id("Lanes"), ua.QualifiedName("Lanes", own))
    for lane in config.lanes:
        tree.lanes[lane.number] = await build.variables(lanes, f"Lanes/{lane.number}", LANE_FIELDS)
    for method, call in methods.items():
        await machine.add_method(build.id(method), ua.QualifiedName(method, own), call, _ARGUMENTS[method], [])
    return tree


class _Builder:
    """Adds nodes whose ids are their paths in our own namespace."""

    def __init__(self, server: Server, own: int) -> None:
        self._server, self._own = server, own

    def id(self, path: str) -> ua.NodeId:
        return ua.NodeId(ua.String(path), ua.Int16(self._own))

    async def identification(self, machine: Node, config: LineConfig, di: int, machinery: int) -> None:
        node = await machine.add_object(self.id("Identification"), ua.QualifiedName("Identification", di))
        site, line = config.line.site, config.line.name
        texts = {"Manufacturer": "binsight", "Model": config.line.model, "ComponentName": line}
        words = {
            "ProductInstanceUri": f"urn:binsight:{site}:{line}",
            "SerialNumber": f"{site}-{line}",
            "SoftwareRevision": __version__,
        }
        for key, text in texts.items():
            value = ua.Variant(ua.LocalizedText(text), _TYPES.LocalizedText)
            await node.add_property(self.id(f"Identification/{key}"), ua.QualifiedName(key, di), value)
        for key, word in words.items():
            await node.add_property(self.id(f"Identification/{key}"), ua.QualifiedName(key, di), word)
        place = ua.QualifiedName("Location", machinery)
        await node.add_property(self.id("Identification/Location"), place, site)

    async def state_machine(self, parent: Node, space: int, name: str, numbers: Mapping[str, int]) -> StateNodes:
        machine_type = await self._server.get_node(ua.ObjectIds.FiniteStateMachineType).add_object_type(
            self.id(f"{name}Type"), ua.QualifiedName(f"{name}Type", space)
        )
        states = {}
        for word, number in numbers.items():
            state = await machine_type.add_object(
                self.id(f"{name}Type/{word}"), ua.QualifiedName(word, space), ua.ObjectIds.StateType, False
            )
            state_number = await state.get_child("0:StateNumber")
            await state_number.write_value(ua.Variant(number, _TYPES.UInt32))
            states[word] = (number, state.nodeid)
        machine = await parent.add_object(
            self.id(name), ua.QualifiedName(name, space), machine_type.nodeid, instantiate_optional=False
        )
        current = await machine.get_child("0:CurrentState")
        number_node = await current.add_property(
            self.id(f"{name}/CurrentState/Number"), "0:Number", ua.Variant(0, _TYPES.UInt32)
        )
        shown = StateNodes(current, await current.get_child("0:Id"), number_node, states)
        await shown.show(next(iter(numbers)))
        return shown

    async def variables(
        self, parent: Node, path: str, fields: Mapping[str, ua.VariantType]
    ) -> dict[str, tuple[Node, ua.VariantType]]:
        name = path.rpartition("/")[2]
        node = await parent.add_object(self.id(path), ua.QualifiedName(name, self._own))
        return {key: (await self._variable(node, f"{path}/{key}", kind), kind) for key, kind in fields.items()}

    async def line_variables(self, machine: Node) -> dict[str, tuple[Node, ua.VariantType]]:
        numbers = ("Heartbeat", "PeerHeartbeat", "PackMLState", "PackMLMode", "Processed", "ToFailSafe")
        fields = {**dict.fromkeys(numbers, _TYPES.UInt32), "Faults": _TYPES.String}
        found = {key: (await self._variable(machine, key, kind), kind) for key, kind in fields.items()}
        await found["PeerHeartbeat"][0].set_writable()
        return found

    async def _variable(self, parent: Node, path: str, kind: ua.VariantType) -> Node:
        name = ua.QualifiedName(path.rpartition("/")[2], self._own)
        return await parent.add_variable(self.id(path), name, ua.Variant(ua.get_default_value(kind), kind))
