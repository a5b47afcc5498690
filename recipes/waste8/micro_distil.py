"""How the micro network learns: from fresh views of photos and from what the teacher says of the same views.

In PyTorch, since a graphics card does in minutes what takes a processor most of a day. `Pupil` computes what the
network of micro_network.py does, takes its weights and gives them back.

References:
    Hinton et al. 2015, arXiv 1503.02531; Beyer et al. 2022, arXiv 2106.05237 (teacher and pupil see the same fresh,
    mixed view, for long); Zhang et al. 2018, arXiv 1710.09412 (mixing); Jacob et al. 2018, arXiv 1712.05877 (rounding
    in training).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import onnx
import torch
from micro_network import CONVOLUTIONS, MEAN, MOMENTUM, SCALE
from micro_views import alter, degrade
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from binsight.export.micro import LUMA
from binsight.files import write_whole
from binsight.training.backbones.efficientnet_lite import EPSILON, same_padding
from binsight.training.fine_tune.optimizer import rate_share

_STEPS: Final = 255  # of 8 bits
_TINY: Final = 1e-7
_BATCH: Final = 188


def normalise(pictures: Tensor, channels: int) -> Tensor:
    """Pixels `(n, 3, h, w)`, 0 to 255, as the network wants them, `(n, channels, h, w)`."""
    if channels == 1:
        luma = torch.tensor(LUMA, dtype=torch.float32, device=pictures.device).view(1, 3, 1, 1) / 1000
        pictures = (pictures * luma).sum(dim=1, keepdim=True).round()
    return (pictures - MEAN) * SCALE


class _Passed(torch.autograd.Function):  # type: ignore[misc]
    """Rounded values whose gradients pass as if they were not."""

    @staticmethod
    def forward(_: Any, value: Tensor, rounded: Tensor) -> Tensor:  # noqa: ARG004
        return rounded

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def round_activations(value: Tensor) -> Tensor:
    """Rounded to 256 steps between the least and the largest value of a batch, zero among them."""
    low, high = value.detach().amin().clamp(max=0), value.detach().amax()
    step = (high - low) / _STEPS + _TINY
    zero = (-low / step).round()
    return _Passed.apply(value, (((value / step).round() + zero).clamp(0, _STEPS) - zero) * step)


def round_kernel(kernel: Tensor) -> Tensor:
    """Rounded to 255 steps per channel that `(outputs, inputs, k, k)` gives."""
    most = kernel.detach().abs().amax(dim=(1, 2, 3), keepdim=True) + _TINY
    return _Passed.apply(kernel, (kernel / most * 127).round() * most / 127)


class Convolution(nn.Module):  # type: ignore[misc]
    """A convolution with its normalisation and ReLU6, or the last one, which has a bias in place of both."""

    def __init__(self, network: keras.Model, layer: Any) -> None:
        super().__init__()
        names = {other.name for other in network.layers}
        kernel, *bias = layer.get_weights()
        self.depthwise, self.stride = isinstance(layer, keras.layers.DepthwiseConv2D), layer.strides[0]
        self.relu6 = f"{layer.name}_relu6" in names
        self.kernel = nn.Parameter(torch.from_numpy(kernel).permute(self._axes).contiguous())
        if bias:
            self.bias, self.norm = nn.Parameter(torch.from_numpy(bias[0])), None
        else:
            self.bias, norm = None, network.get_layer(f"{layer.name}_bn").get_weights()
            self.norm = nn.BatchNorm2d(len(norm[0]), eps=EPSILON, momentum=1 - MOMENTUM)
            self.norm.load_state_dict(dict(zip(_NORM, map(torch.from_numpy, norm), strict=True)), strict=False)
        self.rounded = False

    @property
    def _axes(self) -> tuple[int, ...]:
        """Of a kernel as Keras has it."""
        return (2, 3, 0, 1) if self.depthwise else (3, 2, 0, 1)

    def forward(self, value: Tensor) -> Tensor:
        """Pictures `(n, inputs, h, w)` to `(n, outputs, ⌈h / stride⌉, ⌈w / stride⌉)`."""
        before, after = same_padding(value.shape[2], self.kernel.shape[2], self.stride)
        kernel = round_kernel(self.kernel) if self.rounded else self.kernel
        if before != after:
            value = functional.pad(value, (before, after, before, after))
        padding, groups = before if before == after else 0, value.shape[1] if self.depthwise else 1
        value = functional.conv2d(value, kernel, self.bias, stride=self.stride, padding=padding, groups=groups)
        if self.norm is None:
            return value
        value = self.norm(value)
        value = functional.relu6(value) if self.relu6 else value
        return round_activations(value) if self.rounded else value

    def weights(self) -> list[NDArray[np.float32]]:
        """As Keras has them."""
        kernel = self.kernel.permute(tuple(np.argsort(self._axes)))
        rest = [self.bias] if self.norm is None else [getattr(self.norm, name) for name in _NORM]
        return [value.detach().cpu().numpy() for value in (kernel, *rest)]


_NORM: Final = ("weight", "bias", "running_mean", "running_var")


class Pupil(nn.Module):  # type: ignore[misc]
    """The micro network: normalised pictures `(n, channels, size, size)` to logits `(n, classes)`."""

    def __init__(self, network: keras.Model, dropout: float) -> None:
        super().__init__()
        found = [Convolution(network, layer) for layer in network.layers if isinstance(layer, CONVOLUTIONS)]
        self.convolutions, self.dropout = nn.ModuleList(found), dropout

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        *chain, last = self.convolutions
        for convolution in chain:
            pictures = convolution(pictures)
        pooled = pictures.mean(dim=(2, 3), keepdim=True)
        pooled = round_activations(pooled) if last.rounded else pooled
        return last(functional.dropout(pooled, self.dropout, self.training)).flatten(1)

    def round(self) -> None:
        """Compute from now on with kernels and activations of 8 bits, as a microcontroller will."""
        for convolution in self.convolutions:
            convolution.rounded = True

    def weights(self) -> list[NDArray[np.float32]]:
        """In the order of `keras.Model.get_weights`."""
        return [value for convolution in self.convolutions for value in convolution.weights()]


class Teacher(nn.Module):  # type: ignore[misc]
    """A bundle's ONNX graph as far as its logits, in half precision on a graphics card."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        wanted = {"logits"}
        self.nodes: list[tuple[str, list[str], str, dict[str, Any]]] = []
        for node in reversed(model.graph.node):
            if wanted & set(node.output):
                wanted |= set(node.input)
                options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
                self.nodes.insert(0, (node.op_type, list(node.input), node.output[0], options))
        self.constants = {i.name: i.name.replace(".", "/") for i in model.graph.initializer if i.name in wanted}
        for one in model.graph.initializer:
            if one.name in wanted:
                value = torch.from_numpy(onnx.numpy_helper.to_array(one).astype(np.float32))
                layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
                self.register_buffer(self.constants[one.name], value.contiguous(memory_format=layout))

    def forward(self, pictures: Tensor) -> Tensor:
        """Pixels `(n, 3, size, size)`, 0 to 255, to logits `(n, classes)`."""
        half = torch.float16 if pictures.is_cuda else torch.float32
        values = {"planes": pictures.contiguous(memory_format=torch.channels_last)}
        for kind, inputs, output, options in self.nodes:
            if output != "planes":  # pictures have their channels first already
                given = [values[name] if name in values else self.get_buffer(self.constants[name]) for name in inputs]
                values[output] = _OPERATORS[kind](given, options, half)
        return values["logits"].float()


def _convolve(given: list[Tensor], options: dict[str, Any], half: torch.dtype) -> Tensor:
    value, kernel, bias = (part.to(half) for part in given)
    top, left, bottom, right = options["pads"]
    value = functional.pad(value, (left, right, top, bottom))
    return functional.conv2d(value, kernel, bias, stride=options["strides"], groups=options["group"])


_OPERATORS: Final[dict[str, Callable[[list[Tensor], dict[str, Any], torch.dtype], Tensor]]] = {
    "Conv": _convolve,
    "Cast": lambda given, _, __: given[0],  # of weights kept in half precision
    "Clip": lambda given, _, __: given[0].clamp(0, 6),
    "Add": lambda given, _, __: given[0] + given[1],
    "Sub": lambda given, _, __: given[0] - given[1],
    "Mul": lambda given, _, __: given[0] * given[1],
    "MatMul": lambda given, _, __: given[0].float() @ given[1],
    "GlobalAveragePool": lambda given, _, __: given[0].float().mean(dim=(2, 3), keepdim=True),
    "Flatten": lambda given, _, __: given[0].flatten(1),
    "Transpose": lambda given, options, _: given[0].permute(options["perm"]),
}


@dataclass(frozen=True)
class Lesson:
    """What is learnt from.

    Attributes:
        photos: as the teacher sees them, `(n, size, size, 3)` uint8.
        labels: what each should be taken for, `(n, classes)`, rows sum to 1.
        weights: how much each counts, `(n,)`.
        val: photos that validate, in the pupil's size, `(m, size, size, 3)` uint8.
        val_labels: `(m,)`.
    """

    photos: NDArray[np.uint8]
    labels: NDArray[np.float64]
    weights: NDArray[np.float64]
    val: NDArray[np.uint8]
    val_labels: NDArray[np.intp]


class Distillation:
    """One run: pupil, teacher, optimizer and where it stands.

    Args:
        network: what is trained; it gets the running means of the weights.
        teacher: its ONNX graph.
        temperature: the teacher's answers are `softmax(logits / temperature)`.
        lesson: what is learnt from.
        recipe: the TOML.
        kept: where the state is kept after every epoch.
    """

    def __init__(
        self,
        network: keras.Model,
        teacher: onnx.ModelProto,
        temperature: float,
        lesson: Lesson,
        recipe: dict[str, Any],
        kept: Path,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        self.recipe, self.settings, self.kept, self.temperature = recipe, recipe["training"], kept, temperature
        self.network, self.channels = network, network.input_shape[-1]
        self.teacher = Teacher(teacher).to(self.device).eval()
        self.pupil = Pupil(network, recipe["network"]["dropout"]).to(self.device)
        most, self.epoch = self.settings["ema_decay"], 0
        self.mean = AveragedModel(
            self.pupil,
            multi_avg_fn=lambda means, values, t: torch._foreach_lerp_(
                means, values, 1 - min(most, float(t / (t + 9)))
            ),
        )
        kernels = [value for value in self.pupil.parameters() if value.ndim > 1]
        others = [value for value in self.pupil.parameters() if value.ndim <= 1]
        groups = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=self.settings["weight_decay"], eps=_TINY)
        self.photos, self.val = torch.from_numpy(lesson.photos).to(self.device), self._to_device(lesson.val)
        self.labels, self.weights = (self._to_device(v) for v in (lesson.labels, lesson.weights))
        self.val_labels = torch.from_numpy(lesson.val_labels).to(self.device)

    def _to_device(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device, torch.float32)

    def train(self) -> None:
        """Train from where the last run stopped to the end."""
        self.resume()
        epochs = self.settings["epochs"]
        while self.epoch < epochs:
            started = time.monotonic()
            if self.epoch >= epochs - self.settings["rounded_epochs"]:
                self.pupil.round()
                self.mean.module.round()
            loss = self._run_epoch()
            self.epoch += 1
            print(
                time.strftime("%H:%M:%S"),
                f"epoch {self.epoch} of {epochs}: loss {loss:.3f}, val accuracy {self.accuracy():.2%},",
                f"{time.monotonic() - started:.0f} s",
                flush=True,
            )
            self._keep()

    def resume(self) -> None:
        """Go on where the last run stopped, if one did; the network gets its means."""
        if self.kept.exists():
            state = torch.load(self.kept, map_location="cpu", weights_only=True)
            for name, value in state["parts"].items():
                getattr(self, name).load_state_dict(value)
            self.epoch = state["epoch"]
        self.network.set_weights(self.mean.module.weights())

    def _keep(self) -> None:
        self.network.set_weights(self.mean.module.weights())
        parts = {name: getattr(self, name).state_dict() for name in ("pupil", "mean", "optimizer")}
        buffer = io.BytesIO()
        torch.save({"epoch": self.epoch, "parts": parts}, buffer)
        write_whole(self.kept, buffer.getvalue())

    def _run_epoch(self) -> float:
        batch, losses = self.settings["batch_size"], []
        torch.manual_seed(int(np.random.SeedSequence([self.recipe["seed"], self.epoch]).generate_state(1)[0]))
        order = torch.randperm(len(self.photos)).to(self.device)
        steps = len(order) // batch
        warmup, whole = round(self.settings["warmup_epochs"] * steps), self.settings["epochs"] * steps
        self.pupil.train()
        for step in range(steps):
            share = rate_share(self.epoch * steps + step, steps=whole, warmup=warmup, final=0.005)
            for group in self.optimizer.param_groups:
                group["lr"] = share * self.settings["learning_rate"]
            pictures, targets, weights = self._lesson(order[step * batch : (step + 1) * batch])
            each = functional.cross_entropy(self.pupil(pictures), targets, reduction="none")
            loss = (each * weights).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.mean.update_parameters(self.pupil)
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _lesson(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the pupil sees of some photos, what it should say, and how much each counts."""
        views = alter(self.photos[rows].permute(0, 3, 1, 2).float())
        labels, weights = self.labels[rows], self.weights[rows]
        if float(torch.rand(())) < self.recipe["views"]["mixed_share"]:
            other, share = torch.randperm(len(rows), device=self.device), float(torch.rand(()))
            views, labels, weights = (share * v + (1 - share) * v[other] for v in (views, labels, weights))
        said = functional.softmax(self.teacher(views) / self.temperature, dim=1)
        trust = self.recipe["teacher"]["share"]
        size = self.network.input_shape[1]
        small = functional.interpolate(views, (size, size), mode="bilinear", antialias=True)
        return normalise(degrade(small), self.channels), trust * said + (1 - trust) * labels, weights

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def accuracy(self) -> float:
        """Of the running means, on the photos that validate."""
        self.mean.eval()
        found = [
            self.mean(normalise(some.permute(0, 3, 1, 2), self.channels)).argmax(dim=1)
            for some in self.val.split(_BATCH)
        ]
        return float((torch.cat(found) == self.val_labels).float().mean())
