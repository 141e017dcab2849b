"""The cortex over time as GIF or MP4: both hemispheres from outside and inside, around the peak.

GIF needs nothing further. MP4 is written by ffmpeg, that of the system or that of imageio-ffmpeg
(the extra ``movie``). Both show the same frames, and neither outgrows `LARGEST`.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from majorant.errors import MajorantError
from majorant.exports.material import Material, Sidecar
from majorant.extras import needed
from majorant.forward.template import template_surfaces
from majorant.report.cortex import SIDES, Cortex, Scale, Veil, colours
from majorant.report.maps import CLEAR, HIDDEN
from majorant.report.marks import bold
from majorant.report.spread import spread

__all__ = ["AROUND", "LARGEST", "MOST", "encoder", "write_gif", "write_mp4"]

HEIGHT = 200
"""Pixels of a view; there are two rows of them."""
AROUND = 0.100
"""Seconds before and after the strongest moment."""
MOST = 48
"""Frames: of more samples, evenly spaced ones, the strongest among them."""
RATE = 8
"""Frames a second."""
LARGEST = 4_000_000
"""Bytes of a GIF; a larger one is made smaller in pixels until it fits."""
CODECS = ("libx264", "libopenh264", "mpeg4")
"""Of ffmpeg, the first that it has."""


@dataclass(frozen=True, eq=False)
class Film:
    """Frames, RGB and all of one size, with their times in seconds."""

    frames: tuple[Image.Image, ...]
    times: tuple[float, ...]
    limit: float


_DRAWN: WeakKeyDictionary[Material, Film] = WeakKeyDictionary()
"""Frames serve both formats."""


def write_gif(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write ``figure_movie.gif``, at most `LARGEST` bytes.

    Raises
    ------
    MajorantError
        If there is one moment only.
    """
    film = _film(material)
    frames, data = list(film.frames), b""
    while not data or (len(data) > LARGEST and frames[0].width > 100):
        if data:
            frames = [
                frame.resize((2 * frame.width // 3, 2 * frame.height // 3)) for frame in frames
            ]
        data = _gif(frames)
    (folder / "figure_movie.gif").write_bytes(data)
    return {"figure_movie.gif": _said(material, film)}


def write_mp4(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write ``figure_movie.mp4``.

    Raises
    ------
    MajorantError
        If there is one moment only, no ffmpeg, or one that cannot write it.
    """
    program, film = encoder(), _film(material)
    width, height = film.frames[0].size
    raw = b"".join(frame.tobytes() for frame in film.frames)
    given = f"-y -loglevel error -f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {RATE} -i -"
    reason = ""
    for codec in CODECS:
        taken = f"-an -c:v {codec} -pix_fmt yuv420p -b:v 1M -movflags +faststart".split()
        command = [program, *given.split(), *taken, str(folder / "figure_movie.mp4")]
        done = subprocess.run(command, input=raw, capture_output=True, check=False)
        if done.returncode == 0:
            return {"figure_movie.mp4": _said(material, film)}
        reason = " ".join(done.stderr.decode("utf-8", "replace").split())[-200:]
    raise MajorantError(f"ffmpeg could not write the MP4 ({reason}); export gif instead")


def encoder() -> str:
    """Return the ffmpeg there is: on the path, else that of imageio-ffmpeg.

    Raises
    ------
    MajorantError
        If there is none, naming the extra.
    """
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    try:
        return needed("imageio_ffmpeg").get_ffmpeg_exe()
    except RuntimeError as error:
        raise MajorantError("imageio-ffmpeg has no program here; install ffmpeg") from error


def _samples(times: NDArray[np.float64], peak: int) -> NDArray[np.int64]:
    """Samples around the strongest moment, that moment among them."""
    near = np.flatnonzero(np.abs(times - times[peak]) <= AROUND + 1e-9)
    if len(near) <= MOST:
        return near
    step = -(-len(near) // (MOST - 1))
    return near[(near - peak) % step == 0]


def _film(material: Material) -> Film:
    if material not in _DRAWN:
        _DRAWN[material] = _drawn(material)
    return _DRAWN[material]


def _drawn(material: Material) -> Film:
    content = material.content
    times = np.asarray(content.times, float)
    if len(times) < 2:
        raise MajorantError("one moment makes no movie; export png in place of gif and mp4")
    chosen = _samples(times, content.moments(1)[0].sample)
    values = content.sources.values[:, chosen]
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    scale = Scale(content.limit or largest, content.sources.signed)
    veil = Veil(HIDDEN * largest, CLEAR * largest)
    surfaces = template_surfaces()
    cortex, mapped = Cortex(surfaces, HEIGHT), spread(content.sources, values, surfaces.faces)
    unit = "Am" if material.unit == "Am" else material.unit
    legend = f"{scale.limit:.3g} {unit}"
    frames = tuple(
        _frame(cortex, mapped[..., k], scale, veil, (f"{1e3 * times[sample]:.0f} ms", legend))
        for k, sample in enumerate(chosen)
    )
    return Film(frames, tuple(float(times[k]) for k in chosen), scale.limit)


def _frame(
    cortex: Cortex, values: NDArray[Any], scale: Scale, veil: Veil, words: tuple[str, str]
) -> Image.Image:
    """Two rows of views, the time above them, the colours beside it."""
    views = [cortex.draw(view, values, scale, veil) for view in SIDES]
    strip = 2 * (HEIGHT // 12)
    width = 2 * views[0].width
    sheet = Image.new("RGB", (width + width % 2, 2 * HEIGHT + strip), "white")
    for k, view in enumerate(views):
        sheet.paste(view, ((k % 2) * view.width, strip + (k // 2) * HEIGHT), view)
    pen, font = ImageDraw.Draw(sheet), bold(max(6, strip // 2))
    pen.text((strip // 3, strip // 2), words[0], anchor="lm", font=font, fill="black")
    pen.text((width - strip // 3, strip // 2), words[1], anchor="rm", font=font, fill="black")
    right = width - strip // 3 - round(pen.textlength(words[1], font)) - strip // 3
    low = -scale.limit if scale.signed else 0.0
    bar = colours(np.linspace(low, scale.limit, max(2, width // 5)), scale)[None]
    painted = Image.fromarray(np.rint(255 * bar).astype(np.uint8))
    sheet.paste(painted.resize((bar.shape[1], strip // 3)), (right - bar.shape[1], strip // 3))
    return sheet


def _gif(frames: list[Image.Image]) -> bytes:
    """One palette for all frames, that of them together, so that grey does not flicker."""
    wide = Image.new("RGB", (frames[0].width, frames[0].height * min(len(frames), 8)))
    for k, frame in enumerate(frames[:: max(1, len(frames) // 8)][:8]):
        wide.paste(frame, (0, k * frame.height))
    palette = wide.quantize(128)
    drawn = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    held = io.BytesIO()
    drawn[0].save(
        held, "GIF", save_all=True, append_images=drawn[1:], duration=1000 // RATE, loop=0,
        disposal=1,
    )  # fmt: skip
    return held.getvalue()


def _said(material: Material, film: Film) -> dict[str, Any]:
    step = (film.times[-1] - film.times[0]) / (len(film.times) - 1)
    return material.about(
        f"The estimate on the template's cortex from {1e3 * film.times[0]:.0f} to "
        f"{1e3 * film.times[-1]:.0f} ms, {1 / (RATE * step):.0f} times slower than it was: "
        f"{', '.join(view.name for view in SIDES)}. The strongest colour is {film.limit:.4g}; "
        "below a quarter of the largest value the cortex is grey.",
        FrameRate=RATE,
        FrameTimes=list(film.times),
    )
