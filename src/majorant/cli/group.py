"""``majorant group``: what the estimates of many subjects have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from majorant.cli import options as own
from majorant.cli.answer import Json, deliver
from majorant.cli.given import there
from majorant.cli.options import RECORDING, SOURCES
from majorant.cli.screen import RARE
from majorant.cli.voice import Voice, show_table, tell, timed


def group(
    folder: Annotated[
        Path, typer.Argument(help="What image --bids wrote: .../majorant.", callback=there)
    ],
    *,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="One, against its baseline, or two, against each other.",
            rich_help_panel=RECORDING,
        ),
    ] = None,
    tmin: own.Start = None,
    tmax: own.Stop = None,
    atlas: own.Atlas = "gyri",
    level: Annotated[
        float,
        typer.Option(help="Two-sided p at which points enter clusters.", rich_help_panel=RARE),
    ] = 0.01,
    permutations: Annotated[int, typer.Option(help="Sign flips.", rich_help_panel=SOURCES)] = 1000,
    seed: Annotated[int, typer.Option(help="Of the sign flips.", rich_help_panel=RARE)] = 0,
    subjects_dir: own.SubjectsDir = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Local processes for the flips.", rich_help_panel=RARE)
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="A dask cluster in place of --jobs.", rich_help_panel=RARE
        ),
    ] = None,
    output: own.Folder = Path("out/group"),
    overwrite: own.Overwrite = False,
    quiet: own.Quiet = False,
    json: Json = None,
) -> None:
    """Averages, cluster tests and effects by region over the subjects of a data set.

    \b
    majorant group derivatives/majorant --condition face --condition house
    majorant group derivatives/majorant --condition face --tmin -0.1 --tmax 0.4
    """
    from majorant.atlas.read import read_atlas
    from majorant.bids.cluster import spread_over
    from majorant.files.output import check_output
    from majorant.group.load import load_study
    from majorant.group.run import analyse
    from majorant.group.write import save_group

    check_output(output, overwrite=overwrite)
    voice, named = Voice(quiet), read_atlas(atlas)
    with timed() as seconds:
        voice.step("Reading estimates")
        study = load_study(folder, condition or (), tmin, tmax, subjects_dir and str(subjects_dir))
        voice.say(f"{len(study.subjects)} subjects, {' and '.join(study.conditions)}.")
        if study.left_out:
            voice.say(f"Left out, without all conditions: {', '.join(study.left_out)}.")
        if study.morphed:
            voice.say(f"Carried from their own cortex to fsaverage: {', '.join(study.morphed)}.")
        voice.step(f"Flipping signs {permutations} times")
        with spread_over(jobs, dask) as mapped:
            result = analyse(
                study, named, level=level, permutations=permutations, seed=seed, mapped=mapped
            )
        save_group(result, output, overwrite=overwrite)
    found = {**result.summary(), "out": str(output)}
    if not deliver(found, json) and not quiet:
        tell(result.headline)
        rows = [
            (f"{row['p']:.4g}", f"{1e3 * row['from_s']:.0f} to {1e3 * row['to_s']:.0f}",
             row["peak_region"], f"{row['peak_t']:.3g}")
            for row in result.rows()[:5]
        ]  # fmt: skip
        show_table("Clusters", ("p", "ms", "peak", "t"), rows)
        tell(f"\n{output / 'group.html'}", "bold")
        voice.say(f"{seconds():.1f} s")
