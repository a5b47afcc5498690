"""The messages of the Open Inference Protocol, version 2.

References:
    https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
    Binary tensors: the extension `binary_tensor_data` of Triton, which its clients use by default.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from binsight.serving.schemas import Answer

__all__ = [
    "InferAnswer",
    "InferInput",
    "InferOutput",
    "InferRequest",
    "OutputWish",
    "ServerLive",
    "ServerMetadata",
    "ServerReady",
    "TensorMetadata",
    "V2ModelMetadata",
    "V2ModelReady",
]

Parameters = dict[str, str | int | float | bool]
Dimension = Annotated[int, Field(ge=0, le=2**31 - 1)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class InferInput(_Message):
    """An input tensor: `images` (UINT8, `[n, h, w, 3]`) or `photos` (BYTES, `[n]`: files, in base64 when in JSON)."""

    name: Annotated[str, Field(max_length=64)]
    shape: Annotated[list[Dimension], Field(min_length=1, max_length=8)]
    datatype: Literal["UINT8", "BYTES"]
    parameters: Parameters = {}
    data: list[Any] | None = Field(default=None, description="Row-major, flat or nested; absent for binary tensors.")


class OutputWish(_Message):
    """An output that is wanted."""

    name: Annotated[str, Field(max_length=64)]
    parameters: Parameters = {}


class InferRequest(_Message):
    """A request for inference."""

    id: Annotated[str, Field(max_length=256)] | None = None
    parameters: Parameters = {}
    inputs: Annotated[list[InferInput], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[OutputWish], Field(max_length=16)] = []


class InferOutput(Answer):
    """An output tensor."""

    name: str
    shape: list[int]
    datatype: Literal["FP32", "BYTES"]
    parameters: Parameters | None = None
    data: list[float] | list[str] | None = None


class InferAnswer(Answer):
    """The outputs that were wanted."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, str] | None = Field(
        default=None, description="`kept`: with `--loop`, the receipts of photos that are kept, separated by commas."
    )
    outputs: list[InferOutput]


class ServerLive(Answer):
    """The server answers."""

    live: bool


class ServerReady(Answer):
    """All models are ready."""

    ready: bool


class ServerMetadata(Answer):
    """What this server is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Answer):
    """A tensor; -1 stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class V2ModelMetadata(Answer):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class V2ModelReady(Answer):
    """The model is ready."""

    name: str
    ready: bool
