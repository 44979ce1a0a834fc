"""Image files of anybody's -> 8-bit RGB: what is converted, how, and what is refused by name.

Converted: 1, 8 and 16 bits of grey, palettes, RGB, YCbCr and CMYK. 16 bits are scaled by 255/65535
and rounded; transparent pixels are laid on white, so that no hidden colour comes through; the
orientation that a camera noted (EXIF) is applied; colour profiles are not. What has no certain
meaning in 8 bits is refused: floats, 32 bits, 16 bits of colour, several frames or pages.
"""

from __future__ import annotations

import re
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from collapsebench.settings import UserError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # of the content, whatever its name
ALLOWED = "one picture a file, of 1 or 8 bits a channel, or of 16 bits of grey"

MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr", "CMYK"}  # of 8 bits at most
GREY_16 = {"I;16", "I;16B", "I;16L", "I;16N"}
DEEP_COLOUR = re.compile(r";16[BLN]")  # in Pillow's raw modes: it would keep half of these bits
NO_WHITE = {
    "F": "its pixels are floats, and none of them is known to be white",
    "I": "its pixels are signed or 32-bit integers, and none of them is known to be white",
}
LONGEST = 1000  # times its width: resized by its shorter side, a line would fill the memory
TIFF_BITS, TIFF_PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0

DAMAGED = (  # what Pillow raises on bad files
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError,
    AssertionError, struct.error, zlib.error,
)  # fmt: skip

_opening = threading.Lock()  # warnings' filters belong to the process, and threads open images


def read_rgb(path: Path) -> Image:
    """An image file as an upright Pillow image of mode RGB.

    Raises:
        UserError: a file that is damaged, larger than Pillow's limit on decompression bombs, or
            whose pixels have no certain meaning in 8-bit RGB; named, and not decoded then.
    """
    from PIL import Image, ImageOps

    bombs = (Image.DecompressionBombWarning, Image.DecompressionBombError)
    try:
        with _open(path) as image:
            if reason := _refusal(image):
                raise UserError(f"{path} is refused: {reason}; allowed: {ALLOWED}")
            return _convert(ImageOps.exif_transpose(image))
    except (*DAMAGED, *bombs) as error:
        raise UserError(f"cannot decode {path}: {str(error) or type(error).__name__}") from None


def _open(path: Path) -> ImageFile:
    """Reads the header; what Pillow only warns of as a decompression bomb is an error."""
    from PIL import Image

    with _opening, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path, formats=FORMATS)


def _refusal(image: ImageFile) -> str:
    """Why the pixels of an opened image have no certain meaning in 8-bit RGB, or ""."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # what else a camera's JPEG holds are previews
        return f"it holds {frames} frames or pages"
    if max(image.size) > LONGEST * min(image.size):
        return f"it is a line of {image.width} x {image.height} pixels"
    if image.mode in GREY_16 or (image.mode, image.format) == ("I", "PPM"):
        return _grey_refusal(image)
    if DEEP_COLOUR.search(str(image.tile[:1])):
        return "it has 16 bits in each of several channels"
    return "" if image.mode in MODES else NO_WHITE.get(image.mode, f"its mode is {image.mode}")


def _grey_refusal(image: ImageFile) -> str:
    tags = getattr(image, "tag_v2", {})
    if "transparency" in image.info:
        return "one of its 16-bit levels means transparent"
    if tags.get(TIFF_BITS, (16,)) != (16,):
        return f"it has {tags[TIFF_BITS][0]} bits"
    return "its white is 0" if tags.get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO else ""


def _convert(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I"):
        levels = (np.asarray(image).astype(np.uint32) + 128) // 257  # 65535 / 255 = 257
        image = Image.fromarray(levels.astype(np.uint8))
    elif image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
