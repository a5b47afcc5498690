"""Pretrained networks to put heads on: which there are, where their weights come from, as Keras model and as ONNX.

A backbone takes RGB pictures of values 0 to 255, normalises them itself, and gives its last feature map. Importing this
package loads no framework; building a backbone does.
"""

from binsight.training.backbones.backbone import Backbone, check_size
from binsight.training.backbones.registry import BUNDLE_PREFIX, backbone_names, find_backbone
from binsight.training.backbones.safetensors_file import BACKBONE_FILE, find_safetensors, write_backbone_safetensors

__all__ = [
    "BACKBONE_FILE",
    "BUNDLE_PREFIX",
    "Backbone",
    "backbone_names",
    "check_size",
    "find_backbone",
    "find_safetensors",
    "write_backbone_safetensors",
]
