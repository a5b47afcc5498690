"""From the bytes of a photo to the array a network sees.

`decode` turns bytes into upright RGB, safely; `preprocess` holds the one implementation of what a network's input looks
like, for training and predicting alike; `heatmap` draws what the network looked at back onto the photo.
"""

from binsight.imaging.decode import SUPPORTED_FORMATS, ImageLimits, decode_image, read_header, read_photo, sniff_format
from binsight.imaging.heatmap import overlay_heatmap
from binsight.imaging.preprocess import PreprocessSpec, normalise, prepare_photo, resize_image

__all__ = [
    "SUPPORTED_FORMATS",
    "ImageLimits",
    "PreprocessSpec",
    "decode_image",
    "normalise",
    "overlay_heatmap",
    "prepare_photo",
    "read_header",
    "read_photo",
    "resize_image",
    "sniff_format",
]
