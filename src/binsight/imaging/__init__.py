"""From the bytes of a photo to the array a network sees.

`decode` turns bytes into upright RGB, safely, with what `formats`, `jpeg`, `container`, `tiff` and `pixels` know;
`preprocess` holds the one implementation of what a network's input looks
like, for training and predicting alike; `heatmap` draws what the network looked at back onto the photo; `storing`
makes the file that is kept of one.
"""

from binsight.imaging.decode import ImageLimits, Photo, decode_image, decode_photo, read_header, read_photo
from binsight.imaging.formats import SUPPORTED_FORMATS, sniff_format
from binsight.imaging.heatmap import overlay_heatmap
from binsight.imaging.preprocess import PreprocessSpec, normalise, prepare_photo, resize_image
from binsight.imaging.storing import encode_picture, small_jpeg, stored_jpeg

__all__ = [
    "SUPPORTED_FORMATS",
    "ImageLimits",
    "Photo",
    "PreprocessSpec",
    "decode_image",
    "decode_photo",
    "encode_picture",
    "normalise",
    "overlay_heatmap",
    "prepare_photo",
    "read_header",
    "read_photo",
    "resize_image",
    "small_jpeg",
    "sniff_format",
    "stored_jpeg",
]
