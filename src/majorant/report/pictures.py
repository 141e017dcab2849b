"""Pictures within the page: as WebP, a seventh of the size of PNG at the same look."""

from __future__ import annotations

import io
from base64 import b64encode

from PIL import Image, features

__all__ = ["data_uri"]


def data_uri(image: Image.Image, quality: int = 88) -> str:
    """Return an image as a ``data:`` address: WebP, or PNG where Pillow was built without it."""
    buffer = io.BytesIO()
    kind = "webp" if features.check("webp") else "png"
    if kind == "webp":
        image.save(buffer, "webp", quality=quality)
    else:
        image.save(buffer, "png", optimize=True)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode('ascii')}"
