"""``majorant-bids-app``: the arguments of a BIDS-App, as containers are called with them.

    majorant-bids-app BIDS_DIR OUTPUT_DIR participant --participant_label 01 02 --event tone
    majorant-bids-app BIDS_DIR OUTPUT_DIR group --condition tone

The level *participant* is ``majorant image --bids``, the level *group* is ``majorant group`` on
what it wrote; any further option is theirs. Source: Gorgolewski et al. (2017), BIDS apps,
doi:10.1371/journal.pcbi.1005209.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from majorant import __version__

__all__ = ["main", "translated"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "majorant-bids-app",
        description="Source imaging of a BIDS data set. Further options are those of 'majorant "
        "image' (participant) or 'majorant group' (group).",
        allow_abbrev=False,
    )
    parser.add_argument("bids_dir", help="root of the data set")
    parser.add_argument("output_dir", help="where majorant/ (participant) or group/ is made")
    parser.add_argument("level", choices=("participant", "group"), metavar="{participant,group}")
    parser.add_argument(
        "--participant_label", "--participant-label", nargs="+", default=[], metavar="LABEL",
        help="which subjects, with or without sub-; default all",
    )  # fmt: skip
    parser.add_argument("--task_id", "--task-id", metavar="TASK", help="which task")
    parser.add_argument(
        "--n_cpus", "--n-cpus", type=int, metavar="N", help="recordings imaged at once"
    )
    parser.add_argument(
        "--skip_bids_validator", "--skip-bids-validator", action="store_true",
        help="taken, and without effect: no validator is run",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"majorant {__version__}")
    return parser


def translated(arguments: Sequence[str]) -> list[str]:
    """Return the command of ``majorant`` that does what a BIDS-App is asked for.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.
    """
    parser = _parser()
    given, further = parser.parse_known_args(list(arguments))
    if given.level == "group":
        if given.participant_label or given.task_id or given.n_cpus:
            parser.error("--participant_label, --task_id and --n_cpus belong to participant")
        folder, out = f"{given.output_dir}/majorant", f"{given.output_dir}/group"
        return ["group", folder, "--out", out, *further]
    command = ["image", "--bids", given.bids_dir, "--out", given.output_dir]
    labels = [label.removeprefix("sub-") for label in given.participant_label]
    if labels:
        command += ["--subjects", ",".join(labels)]
    if given.task_id is not None:
        command += ["--task", given.task_id.removeprefix("task-")]
    if given.n_cpus is not None:
        command += ["--jobs", str(given.n_cpus)]
    return [*command, *further]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run; exits as the command does."""
    command = translated(sys.argv[1:] if arguments is None else arguments)
    from majorant.cli import main as run

    # Records and pages repeat what does the same anywhere.
    sys.argv = ["majorant", *command]
    run(command)


if __name__ == "__main__":
    main()
