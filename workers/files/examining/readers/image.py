"""Images: how large they are. Only their headers are read, no picture is unpacked."""

from collections.abc import Mapping
from typing import Any

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from workers.files.examining.content import Content, Unreadable

_FORMATS = [
    plugin.format
    for plugin in (
        BmpImagePlugin.BmpImageFile,
        GifImagePlugin.GifImageFile,
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        TiffImagePlugin.TiffImageFile,
        WebPImagePlugin.WebPImageFile,
    )
]
# Frames are counted by going from one to the next.
_GONE_THROUGH_MAX_BYTES = 16 * 1024 * 1024
_PIXELS_MAX = Image.MAX_IMAGE_PIXELS or 0
# The judgement is ours, with the size in it, which Pillow's error has not.
Image.MAX_IMAGE_PIXELS = None


def read(content: Content) -> Mapping[str, Any]:
    """Return `width_px` and `height_px`, and of files up to 16 MiB `frames` if there are several.

    Raises `Unreadable` if the header is damaged, or claims more pixels than Pillow unpacks without a warning.
    """
    with content.open() as file:
        try:
            image = Image.open(file, formats=_FORMATS)
        except (OSError, SyntaxError, ValueError, TypeError, OverflowError) as error:
            raise Unreadable("The image is damaged.") from error
        found = {"width_px": image.width, "height_px": image.height}
        if image.width * image.height > _PIXELS_MAX:
            raise Unreadable("The image has too many pixels to be unpacked.", **found)
        return found | (_frames(image) if content.size_bytes <= _GONE_THROUGH_MAX_BYTES else {})


def _frames(image: Image.Image) -> dict[str, int]:
    try:
        frames = int(getattr(image, "n_frames", 1))
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise Unreadable(
            "The image is damaged after its header.", width_px=image.width, height_px=image.height
        ) from error
    return {"frames": frames} if frames > 1 else {}
