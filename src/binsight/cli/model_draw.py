"""`binsight model draw`: a picture of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from binsight.cli.options import FILE, Command, bundle_argument, option
from binsight.extras import needs_extra
from binsight.files import write_whole

if TYPE_CHECKING:
    from binsight.training.architecture.layers import Architecture

__all__ = ["draw"]

_FORMATS = {".png": "png", ".svg": "svg"}


@click.command(cls=Command, renamed={"--model": ""}, short_help="Draw the layers and the stages of a network.")
@bundle_argument()
@option("--backbone", metavar="NAME", help="Draw a backbone instead, such as xception; its weights are not needed.")
@option("--out", required=True, type=FILE, help="FILE.png or FILE.svg.")
def draw(bundle: str, backbone: str | None, out: Path) -> None:
    """Draw the network of BUNDLE into FILE: above its layers in perspective, below its stages with sizes and shares.

    Multiplications (MACs) and parameters are those of the network for predicting, with batch normalisation folded into
    the convolutions. Needs the extra binsight[train].

    \b
    Examples:
      binsight model draw --out network.png                        the model in the package
      binsight model draw my.zip --out network.svg
      binsight model draw --backbone efficientnet_lite2 --out lite2.svg
    """
    file_format = _FORMATS.get(out.suffix.lower())
    if file_format is None:
        raise click.BadParameter(f"expected a name that ends in .png or .svg, got {out.name!r}", param_hint="'--out'")
    with needs_extra("drawing a network", "train"):
        from binsight.training.architecture.drawing import draw_architecture

        architecture, classes = _backbone(backbone) if backbone is not None else _bundle(bundle)
    kind = cast("Literal['png', 'svg']", file_format)
    write_whole(out, draw_architecture(architecture, title=architecture.name, classes=classes, file_format=kind))
    click.echo(str(out))


def _bundle(name: str) -> tuple[Architecture, tuple[str, ...]]:
    import onnx

    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.training.architecture.graph import describe_graph

    bundle = load_bundle(resolve_bundle(name))
    graph = onnx.load_model_from_string(bundle.read_model())
    return describe_graph(graph, bundle.label), tuple(bundle.manifest.taxonomy.ids)


def _backbone(name: str) -> tuple[Architecture, tuple[str, ...]]:
    from binsight.export.quiet import quiet
    from binsight.training.architecture.graph import describe_graph
    from binsight.training.backbones import find_backbone

    backbone = find_backbone(name)
    with quiet():  # TensorFlow tells of itself when it starts
        graph = backbone.to_onnx(backbone.build(weights=None))
    return describe_graph(graph, backbone.name), ()
