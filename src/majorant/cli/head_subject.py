"""``majorant head SUBJECT``: shells, coregistration and forward solution, checked and drawn."""

from __future__ import annotations

import sys
from pathlib import Path

from majorant.cli.answer import deliver
from majorant.cli.typed import shared
from majorant.cli.voice import Voice, tell
from majorant.errors import MajorantError


def run_subject(
    subject: str,
    subjects_dir: Path | None,
    recording: Path | None,
    montage: str | None,
    trans: Path | None,
    skull: float | None,
    out: Path | None,
    *,
    overwrite: bool,
    json: str | None,
) -> None:
    """Make a subject's head ready, write what was found, and tell it."""
    from majorant.account import Account
    from majorant.files.output import check_output
    from majorant.head.find import subjects_folder
    from majorant.head.individual import individual_head, recorded_info
    from majorant.head.template import checked
    from majorant.report.heads import save_head

    if recording is None and (trans is not None or montage is not None):
        raise MajorantError(
            "--trans and --montage are of a recording's electrodes; give it with --recording"
        )
    target = Path("out") / f"head-{subject}" if out is None else out
    check_output(target, overwrite=overwrite)
    voice = Voice(quiet=False)
    account = Account(voice.say)
    voice.step(f"Reading {subject}")
    info = None if recording is None else recorded_info(recording, montage, account)
    found = individual_head(
        subject,
        subjects_folder(None if subjects_dir is None else str(subjects_dir)),
        info=info,
        trans=None if trans is None else str(trans),
        skull=None if skull is None else checked(skull),
        account=account,
        progress=voice.say,
    )
    voice.step("Drawing")
    summary = save_head(found, target, overwrite=overwrite, command=shared(sys.argv))
    if deliver({**summary, "out": str(target)}, json):
        return
    if found.coregistration is not None:
        tell(found.coregistration.sentence())
    for caution in found.cautions:
        tell(f"Caution: {caution}", "yellow")
    tell(f"{target / 'head.html'}", "bold")
