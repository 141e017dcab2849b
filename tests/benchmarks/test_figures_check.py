"""The list of figures stands on the pages, its commands exist, and a wrong number is found."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
from benchmarks.figures_check import Figure, Number, compared, figures, main, value
from benchmarks.mutants import line_of, mutants

from majorant.cli.bench import bench

LISTED = figures()


@pytest.mark.parametrize("figure", LISTED, ids=[own.name for own in LISTED])
def test_a_figure_stands_on_its_page_and_its_command_exists(figure: Figure) -> None:
    words = figure.command.split()
    assert figure.arguments()[1:]
    if words[0] == "python":
        assert words[1] == "-m"
        assert find_spec(words[2]) is not None
    else:
        assert words[1] == "bench"
        assert words[2] in {command.name for command in bench.registered_commands}
    for number in figure.numbers:
        assert number.stands(), f"{number.doc} does not say {number.says!r}"
        assert re.compile(number.finds).groups == 1
        assert number.within >= 0
        float(number.written)


def test_names_and_commands_are_given_once() -> None:
    assert len({own.name for own in LISTED}) == len(LISTED)
    assert len({own.file for own in LISTED}) == len(LISTED)


def test_a_number_that_differs_is_found_and_one_that_is_missing_too() -> None:
    number = Number("docs/guarantees.md", "at 0.061", r"ends at (\S+)", 0.001)
    figure = Figure("x", "python -m benchmarks.bounds final", 1, (number,))
    said = {
        text: next(compared(figure, text, ended=True))
        for text in ("ends at 0.0612", "ends at 0.08", "nothing")
    }
    assert [fine for fine, _ in said.values()] == [True, False, False]
    verdicts = [row.split(" | ")[-1] for _, row in said.values()]
    assert verdicts == ["agrees |", "DIFFERS |", "NOT FOUND |"]
    assert not next(compared(figure, "Traceback", ended=False))[0]
    assert value("1,200,000") == 1.2e6
    assert value("−4e-16") == -4e-16


def test_the_list_is_shown_without_running_anything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "bounds"]) == 0
    shown = capsys.readouterr().out
    assert "benchmarks.bounds final" in shown
    assert "guard_steps" not in shown


def test_the_line_of_every_mutant_stands_once() -> None:
    listed = mutants()
    assert len(listed) >= 40
    assert [own.name for own in listed if line_of(own) != 1] == []
    assert all(own.old != own.new for own in listed)
