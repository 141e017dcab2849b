"""``majorant image`` on several conditions of one recording: one run, one page."""

from __future__ import annotations

import json as jsons
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from majorant.cli.answer import deliver
from majorant.cli.image_one import tell_result
from majorant.cli.typed import shared
from majorant.cli.voice import Voice, out, plain, tell
from majorant.registry import SOLVERS

if TYPE_CHECKING:
    from majorant.imaging.result import ImageSettings
    from majorant.recording.file import Recording
    from majorant.recording.settings import Preparation


def run_conditions(
    recording: Recording,
    preparation: Preparation,
    imaging: ImageSettings,
    contrast: str | None,
    target: Path,
    *,
    overwrite: bool = False,
    voice: Voice,
    json: str | None = None,
) -> None:
    """Image every condition and the contrast with one head, one noise and one scale."""
    from rich.markup import escape

    from majorant.files.output import check_output
    from majorant.imaging.conditions import image_conditions
    from majorant.imaging.write import save_conditions
    from majorant.recording.conditions import prepare_conditions

    check_output(target, overwrite=overwrite)
    imaging.imager()
    imaging.naming()
    prepared = prepare_conditions(recording, preparation, voice.say)
    voice.step("Imaging")
    with voice.waiting(SOLVERS[imaging.solver].title) as move:
        found = image_conditions(prepared, imaging, contrast, voice.say, move)
    voice.step("Writing")
    with voice.waiting("report.html"):
        save_conditions(found, target, overwrite=overwrite, command=shared(sys.argv))
    summary = jsons.loads((target / "summary.json").read_text(encoding="utf-8"))
    if deliver({**summary, "out": str(target)}, json) or voice.quiet:
        return
    for name, result in zip(found.names, found.results, strict=True):
        out.print(f"\n[bold]{escape(plain(name))}[/]")
        tell_result(result)
    tell(f"\n{target / 'report.html'}", "bold")
    voice.say(f"{voice.seconds():.1f} s")
