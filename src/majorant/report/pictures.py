"""Pictures within the page: as WebP, a seventh of the size of PNG at the same look."""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass

from markupsafe import Markup
from PIL import Image, WebPImagePlugin

__all__ = ["Still", "data_uri", "still"]


@dataclass(frozen=True)
class Still:
    """A picture as a template shows it.

    Attributes
    ----------
    uri : Markup
        Its ``data:`` address.
    width, height : int
        Pixels.
    alt : str
        What those are told who do not see it; plain text.
    """

    uri: Markup
    width: int
    height: int
    alt: str


def still(image: Image.Image, alt: str, quality: int = 88) -> Still:
    """Return an image with the words that stand for it."""
    return Still(data_uri(image, quality), image.width, image.height, alt)


def data_uri(image: Image.Image, quality: int = 88) -> Markup:
    """Return an image as a ``data:`` address: WebP, or PNG where Pillow was built without it."""
    buffer = io.BytesIO()
    kind = "webp" if WebPImagePlugin.SUPPORTED else "png"
    if kind == "webp":
        image.save(buffer, "webp", quality=quality, method=2)
    else:
        image.save(buffer, "png", optimize=True)
    return Markup(f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode('ascii')}")
