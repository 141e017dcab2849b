"""The command line as a person meets it: screens that fit, words that were meant, clean pipes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from majorant import __version__
from majorant.citations import about, entries
from majorant.cli import app
from majorant.cli.cite import used
from majorant.cli.screen import complete_solvers
from majorant.errors import nearest
from majorant.learned.stored import FAMILIES
from majorant.registry import SOLVERS

COMMANDS = (
    "image",
    "audit",
    "compare",
    "group",
    "stream",
    "head",
    "train",
    "simulate",
    "cite",
    "info",
    "bench",
    "bench table1",
    "bench figures",
    "bench sbl",
    "bench things",
    "bench everyday",
)


def said(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], env=environment)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", [80, 100])
def test_help_fits_a_screen_and_shows_examples(command: str, columns: int) -> None:
    shown = said(*command.split(), "--help", COLUMNS=str(columns))
    lines = shown.stdout.splitlines()
    assert shown.exit_code == 0
    assert len(lines) <= 40
    assert max(map(len, lines)) <= columns
    assert "Examples:" in lines
    assert f"  majorant {command}" in shown.stdout


def test_alone_it_says_what_it_is_for_and_shows_three_examples() -> None:
    shown = said(COLUMNS="80")
    assert shown.exit_code == 0
    assert "how far to trust" in shown.stdout
    examples = shown.stdout.split("Examples:")[1].split("Commands:")[0]
    assert len(re.findall(r"^  majorant ", examples, re.MULTILINE)) == 3
    assert all(command in shown.stdout for command in ("image", "audit", "compare", "cite"))


def test_the_commands_of_a_group_are_named_in_full_beside_what_they_do() -> None:
    shown = said("bench", "--help", COLUMNS="80").stdout
    listed = shown.split("Commands:")[1].split("\n\n")[0]
    assert re.findall(r"^  (\w+)", listed, re.MULTILINE) == [
        "things",
        "table1",
        "figures",
        "sbl",
        "everyday",
    ]
    assert "Checks on real data" in listed


def test_the_package_itself_runs_as_the_command_line() -> None:
    asked = [sys.executable, "-m", "majorant", "--version"]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, f"majorant {__version__}\n")
    wrong = subprocess.run([*asked[:3], "imaeg"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "did you mean 'image'" in wrong.stderr


def test_simulated_clips_are_told_to_a_machine_and_nothing_else_is_printed(tmp_path: Path) -> None:
    made = said("simulate", "nmm", "--n", 2, "--out", tmp_path / "clips", "--json", "-")
    found = json.loads(made.stdout)
    assert (found["asked"], found["clips"], found["data"]) == (2, 2, "nmm")
    assert found["folder"] == str(tmp_path / "clips")
    assert (tmp_path / "clips" / "clips.json").exists()
    refused = said("simulate", "nmm", "--n", 2, "--out", tmp_path / "clips" / "clips.json")
    assert "is there and is no folder" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--out", "run.txt"), "neither .csv nor .zarr"),
        (("--out", "run.csv", "--duration", "-1"), "give a positive one"),
        (("--out", "run.csv", "--solver", "champagne"), "does not follow a stream"),
        (("--out", "run.csv", "--region", "ocipital"), "did you mean 'occipital'"),
    ],
)
def test_a_mistake_is_said_before_a_stream_is_looked_for(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "majorant.live.lsl", None)
    answer = said("stream", *arguments)
    assert answer.exit_code == 2
    assert says in " ".join(answer.stderr.split())


def test_rare_options_are_named_first_and_explained_when_asked() -> None:
    short, whole = (said("image", asked, COLUMNS="100").stdout for asked in ("-h", "--help-all"))
    assert "--noise-cov" in short
    assert "Noise covariance of single trials" not in short
    assert "Noise covariance of single trials" in whole


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("imaeg",), "(did you mean 'image'?)"),
        (("bench", "tabel1"), "(did you mean 'table1'?)"),
        (("image", "--sovler", "mne"), "(did you mean '--solver'?)"),
        (("bench", "table1", "--method", "mne"), "(did you mean '--methods'?)"),
        (("image", "--demo", "--solver", "lorreta"), "(did you mean 'sloreta'?)"),
        (("cite", "chanpagne"), "(did you mean 'champagne'?)"),
        (("train", "mm-net", "--preset", "tyni"), "(did you mean 'tiny'?)"),
        (("train", "mmnet"), "(did you mean 'mm-net'?)"),
        (("train", "sbl", "--preset", "montage"), "(did you mean 'montages'?)"),
        (("image", "--demo", "--montage", "mgh60"), "leave --montage out, or name a file"),
        (("image", "--snr"), "requires an argument; see majorant image --help"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_what_was_meant(
    arguments: tuple[str, ...], meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = said(*arguments)
    assert answer.exit_code == 2, answer.output
    assert meant in " ".join(answer.stderr.split())
    assert answer.stderr.count("Error") == 1
    assert answer.stdout == ""
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_a_command_is_answered_with_the_command(tmp_path: Path) -> None:
    file = tmp_path / "rec.fif"
    file.write_text("")
    assert f"image {file}" in " ".join(said(file).stderr.split())


def test_the_nearest_word_is_found_whatever_its_case_and_nothing_far_away() -> None:
    assert nearest("left auditory", ["Left Auditory", "Right Auditory"]) == (
        " (did you mean 'Left Auditory'?)"
    )
    assert nearest("brainstorm", SOLVERS) == ""


def test_json_on_standard_output_stands_alone_and_a_file_leaves_words(tmp_path: Path) -> None:
    rows = ("bench", "table1", "--test", "sereega", "--methods", "mne", "--n", 2)
    printed = said(*rows, "--json", "-")
    assert [row["method"] for row in json.loads(printed.stdout)] == ["mne"]
    file = tmp_path / "rows.json"
    written = said(*rows, "--json", file)
    assert "Table I" in written.stdout
    assert json.loads(file.read_text())[0]["method"] == "mne"
    assert said(*rows, "--json", tmp_path / "no" / "rows.json").exit_code == 2


def test_every_command_that_finds_something_hands_it_over_as_json() -> None:
    for command in COMMANDS:
        shown = said(*command.split(), "--help", COLUMNS="100").stdout
        assert ("--json FILE|-" in shown) == (command != "bench"), command


def test_info_is_readable_by_a_machine(tmp_path: Path) -> None:
    found = json.loads(said("info", "--json", "-", MAJORANT_CACHE=str(tmp_path)).stdout)
    assert set(found) == {"versions", "solvers", "checks"}
    assert all(check["good"] for check in found["checks"])


def test_what_is_cited_is_what_was_used() -> None:
    for name in (*SOLVERS, *FAMILIES):
        assert len(about([name])) > 1, name
        assert said("cite", name).stdout.count("@") == len(about([name]))
    assert used([{"method": "mm-net", "test": "sereega"}, {"method": "limit"}]) >= {
        "mm-net",
        "sereega",
    }
    compared = {"solvers": [{"name": "mne"}, {"name": "champagne"}], "decisions": []}
    assert used(compared) == {"mne", "champagne", "recording", "template"}
    own_head = {"solver": {"name": "mne"}, "decisions": [], "settings": {"image": {"forward": "f"}}}
    assert used(own_head) == {"mne", "recording"}


def test_the_folder_of_a_training_is_cited_by_its_solver(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"recipe": {"name": "tiny"}}')
    (tmp_path / "best.json").write_text('{"name": "mm-net", "recipe": {"name": "tiny"}}')
    assert said("cite", tmp_path).stdout == said("cite", "mm-net").stdout


@pytest.mark.parametrize("content", ["{}", "[1, 2]", "no json"])
def test_a_file_that_names_nothing_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    assert said("cite", file).exit_code == 2
    assert said("cite", tmp_path).exit_code == 2


def test_the_bibliography_is_whole_and_every_entry_is_of_use() -> None:
    assert len({entry.key for entry in entries()}) == len(entries())
    for entry in entries():
        assert entry.text.count("{") == entry.text.count("}"), entry.key
        assert {"title", "year"} <= set(entry.fields)
        assert entry.keywords
        assert entry.fields["year"] in entry.sentence()


def test_the_shell_completes_solvers_and_lists_of_them() -> None:
    assert complete_solvers("m") == ["mne", "mean", "mm-net", "mm-net-shared"]
    assert complete_solvers("mne,sl") == ["mne,sloreta"]
    script = said("--show-completion", SHELL="/bin/bash")
    assert script.exit_code == 0 or "shell" in script.output.lower()


@pytest.mark.parametrize("name", ["rec-ave.fif", "rec-ave.fif.gz"])
def test_the_output_folder_is_named_after_the_recording(name: str) -> None:
    from majorant.cli.image import _stem

    assert _stem(Path("data") / name) == "rec-ave"
