"""``majorant image --bids``: every recording of a data set, and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from majorant.cli.answer import deliver
from majorant.cli.options import names
from majorant.cli.screen import FAILED, RARE, STOPPED
from majorant.cli.voice import Voice, complain, show_table, tell
from majorant.errors import MajorantError

if TYPE_CHECKING:
    from majorant.bids.dataset import Item
    from majorant.bids.study import RecordingOutcome, Study
    from majorant.imaging.result import ImageSettings
    from majorant.recording.settings import Preparation


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which recordings of a data set are imaged, and by how many at once."""

    task: Annotated[
        str | None, typer.Option(help="Of the data set: which task.", rich_help_panel=RARE)
    ] = None
    subjects: Annotated[
        str | None,
        typer.Option(help="Of the data set: which subjects, with commas.", rich_help_panel=RARE),
    ] = None
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Recordings imaged at once, a process each; with --bids.",
            rich_help_panel=RARE,
        ),
    ] = 1
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A dask cluster in place of --jobs; with --bids.",
            rich_help_panel=RARE,
        ),
    ] = None


def run_bids(
    bids: Path,
    chosen: Selection,
    preparation: Preparation,
    imaging: ImageSettings,
    output: Path | None,
    *,
    continuous: bool = False,
    overwrite: bool = False,
    command: Sequence[str] = (),
    voice: Voice,
    json: str | None = None,
) -> None:
    """Find, image, tell; exits with 1 where a recording failed.

    Raises
    ------
    MajorantError
        If nothing can be begun: no data set, no such task, no place to write.
    """
    from majorant.bids.dataset import find_recordings, root_of
    from majorant.bids.derivatives import open_derivatives, standing
    from majorant.bids.study import Study
    from majorant.head.find import subjects_folder

    imaging.imager()
    imaging.naming()
    if imaging.subject is not None:
        # Workers of a cluster may know another SUBJECTS_DIR than who asks.
        imaging = replace(imaging, subjects_dir=subjects_folder(imaging.subjects_dir))
    voice.step("Finding recordings")
    root = root_of(bids)
    items = find_recordings(root, chosen.task, names(chosen.subjects), voice.say)
    folder = open_derivatives(root, root / "derivatives" if output is None else output)
    study = Study(preparation, imaging, str(folder), continuous, tuple(command))
    finished, changed, new = standing(items, study, overwrite=overwrite)
    if finished:
        voice.say(f"{len(finished)} are finished and skipped.")
    if changed:
        voice.say(f"{len(changed)} have changed since and are imaged again.")
    failed = _image((*changed, *new), study, chosen, voice)
    page = _write_page(f"{root.name}, task {items[0].label('task')}", study, failed)
    without = {outcome.key: outcome.failure or "" for outcome in failed}
    skipped = [item.key for item in finished]
    found = {
        "derivatives": str(folder),
        "page": str(page),
        "imaged": [i.key for i in items if i not in finished and i.key not in without],
        "skipped": skipped,
        "failed": without,
    }
    if not deliver(found, json) and not voice.quiet:
        as_finished = f"{len(skipped)} skipped as finished, " if skipped else ""
        imaged = f"{len(found['imaged'])} of {len(items)} recordings imaged"
        tell(f"{imaged}, {as_finished}{len(failed)} failed.")
        if failed:
            show_table("Failed", ("recording", "why"), list(without.items()))
        tell(str(page), "bold")
    if failed:
        raise typer.Exit(FAILED)


def _image(
    items: Sequence[Item], study: Study, chosen: Selection, voice: Voice
) -> list[RecordingOutcome]:
    """Image what is not finished; returns what failed."""
    from majorant.bids.cluster import outcomes

    failed: list[RecordingOutcome] = []
    voice.step("Imaging")
    try:
        with voice.waiting("recordings") as move:
            move(0, len(items))
            for done, outcome in enumerate(outcomes(items, study, chosen.jobs, chosen.dask), 1):
                if outcome.failure is None:
                    voice.say(
                        f"{outcome.key}: {outcome.estimates} "
                        f"estimate{'' if outcome.estimates == 1 else 's'}, {outcome.seconds:.0f} s."
                    )
                else:
                    voice.say(f"{outcome.key} failed: {outcome.failure}.")
                    failed.append(outcome)
                move(done, len(items))
    except KeyboardInterrupt:
        complain("stopped by the keyboard; what is finished is kept: the same command goes on")
        raise typer.Exit(STOPPED) from None
    return sorted(failed, key=lambda outcome: outcome.key)


def _write_page(title: str, study: Study, failed: Sequence[RecordingOutcome]) -> Path:
    from majorant.bids.page import PAGE, render_group
    from majorant.files.write import write_file

    page = Path(study.out) / PAGE
    try:
        write_file(page, render_group(title, study, failed))
    except OSError as error:
        raise MajorantError(
            f"{page} cannot be written ({error.strerror or error}); the estimates are there, so "
            "give the same command again"
        ) from error
    return page
