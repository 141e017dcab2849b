"""The list of figures stands on the pages, its commands exist, and a wrong number is found."""

from __future__ import annotations

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest
from benchmarks.figures_check import (
    Figure,
    Kept,
    Number,
    asides,
    compared,
    figures,
    in_order,
    main,
    report,
    run_all,
    unaccounted,
)
from benchmarks.figures_tables import TableFigure
from benchmarks.mutants import line_of, mutants
from benchmarks.pages import ROOT, place, tables_in, value, values

from majorant.cli.bench import bench

LISTED = figures()


@pytest.mark.parametrize("figure", LISTED, ids=[own.name for own in LISTED])
def test_a_figure_stands_on_its_page_and_its_command_exists(figure: Figure) -> None:
    words = figure.command.split()
    assert figure.arguments()[1:]
    if words[0] == "majorant":
        assert words[1] == "bench"
        assert words[2] in {command.name for command in bench.registered_commands}
    elif words[1] == "-m":
        import_module(words[2])
    else:
        assert (ROOT / words[1]).is_file()
    for table in figure.tables:
        assert (found := table.table()) is not None, f"{table.doc} has no such table"
        assert set(table.rows) <= {row[0] for row in found.rows}
        assert set(table.names) <= {cell for row in found.rows for cell in row[: table.keys]}
        named = {*table.columns, *table.lines, *table.skip}
        assert named <= set(found.head), f"{named - set(found.head)} are no columns"
        assert figure.command in " ".join((ROOT / table.doc).read_text().split())
    for number in figure.numbers:
        assert number.stands(), f"{number.doc} does not say {number.says!r}"
        assert re.compile(number.finds).groups == 1
        assert number.within >= 0
        float(number.written)


def test_names_and_commands_are_given_once() -> None:
    assert len({own.name for own in LISTED}) == len(LISTED)
    assert len({own.file for own in LISTED}) == len(LISTED)


def test_every_table_of_figures_stands_beside_a_command_or_aside_with_a_reason() -> None:
    lost = unaccounted()
    assert lost == (), (
        "tables of figures without a command: name each in benchmarks/figures.toml, under `tables` "
        "of the command that makes it, or as [[aside]] with the reason"
    )
    listed = [(own.doc, own.section, own.nth) for own in asides()]
    there = {
        (t.doc, t.section, t.nth)
        for doc in {own.doc for own in asides()}
        for t in tables_in((ROOT / doc).read_text(), doc)
    }
    compared_too = {(t.doc, t.section, t.nth) for own in LISTED for t in own.tables}
    assert set(listed) <= there
    assert len(set(listed)) == len(listed)
    assert not set(listed) & compared_too
    assert all(len(own.reason) > 5 for own in asides())


def test_a_table_that_nobody_remakes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.figures_check.asides", tuple)
    assert "docs/sbl.md, 'What it costs', 0" in unaccounted()


def test_a_number_that_differs_is_found_and_one_that_is_missing_too() -> None:
    number = Number("docs/guarantees.md", "at 0.061", r"ends at (\S+)", 0.001)
    figure = Figure("x", "python -m benchmarks.bounds final", 1, (number,))
    said = [
        compared(figure, Kept("c", "d", 1.0, True, text))
        for text in ("ends at 0.0612", "ends at 0.08", "nothing")
    ]
    assert [found.fine for found in said] == [True, False, False]
    assert [found.agree for found in said] == [1, 0, 0]
    assert "DIFFERS: 0.08" in said[1].lines[0]
    assert "NOT FOUND" in said[2].lines[0]
    failed = compared(figure, Kept("c", "d", 1.0, False, "Traceback\nOops: no"))
    assert failed.lines == ("failed: Oops: no",)


def test_numbers_are_read_as_people_write_them() -> None:
    assert value("1,200,000") == 1.2e6
    assert value("−4e-16") == -4e-16
    assert values("17.3 (-.5 to 2) (paper 3.92)") == (17.3, -0.5, 2.0)
    assert place("1.9 -.05 300 -4e-16") == pytest.approx((0.05, 0.005, 0.5, 5e-17))


def page(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let every table be read from a text."""
    kept = list(tables_in(text, "x.md"))
    monkeypatch.setattr(TableFigure, "table", lambda self: kept[0])


TABLE = """# Head

| solver | LE | ms | best other |
|---|---|---|---|
| `a` | 2.10 (1.9, 2.3) | 5 | .50 |
| **b** | 3.0 | 7 | .70 |
"""


def test_a_table_is_compared_number_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    page(monkeypatch, TABLE)
    whole = TableFigure("x.md", "Head", within=0.01, skip=("ms",))
    assert [pair.agrees for pair in whole.pairs(TABLE)] == [True] * 6
    printed = TABLE.replace("2.3)", "2.5)").replace("| **b** | 3.0", "| b | 3.04")
    pairs = list(whole.pairs(printed))
    assert [pair.agrees for pair in pairs] == [True, True, False, True, True, True]
    assert pairs[2].sentence() == "`a`, LE: 2.3: DIFFERS: 2.5"
    lost = list(whole.pairs(TABLE.replace("**b**", "c")))
    assert [pair.remade for pair in lost][-2:] == [None, None]
    first = TableFigure("x.md", "Head", within=0.01, first=True, rows=("`a`",), skip=("ms",))
    assert len(list(first.pairs(TABLE))) == 2


def test_a_table_is_compared_with_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    page(monkeypatch, TABLE)
    lines = TableFigure("x.md", "Head", lines={"best other": r"^{0}: (\S+) of"})
    assert [pair.agrees for pair in lines.pairs("a: 0.502 of\nb: 0.6 of\n")] == [True, False]


def test_what_was_kept_is_reported_with_its_commit(tmp_path: Path) -> None:
    number = Number("docs/guarantees.md", "at 0.061", r"ends at (\S+)", 0.001)
    figure = Figure("x", "python -m benchmarks.bounds final", 1, (number,))
    other = Figure("y", "python -m benchmarks.bounds data", 1, (), needs="an hour")
    Kept("0123456789", "2026-11-30", 1.25, True, "ends at 0.0612").write(figure.file(tmp_path))
    text, fine = report((figure, other), tmp_path)
    assert fine
    assert "| 0123456, 2026-11-30 | 1.2 | 1 of 1 agree |" in text
    assert "not run (an hour)" in text


def test_none_is_run_before_the_one_whose_files_it_reads_and_those_that_time_come_last() -> None:
    chains = in_order(LISTED)
    order = [own.name for owns in chains for own in owns]
    assert sorted(order) == sorted(own.name for own in LISTED)
    for own in LISTED:
        assert not own.after or order.index(own.after) < order.index(own.name)
    idle = [bool(owns[0].needs) for owns in chains]
    assert idle == sorted(idle)


def script(name: str, text: str, after: str = "") -> Figure:
    """A command of two words and what it is to print."""
    return Figure(name, f"python -c {shlex.quote(text)} out/{name}", 1, (), after=after)


def test_commands_write_into_the_folder_of_their_commit_and_are_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote = script("first", "import sys; open(sys.argv[1], 'a').write('x')")
    read = script("second", "import sys; print(open(sys.argv[1][:-6] + 'first').read())", "first")
    other = script("third", "raise SystemExit(1)")
    chosen = (read, wrote, other)
    monkeypatch.setattr("benchmarks.figures_check.figures", lambda: chosen)
    for commit in ("0123456", "0123456", "789abcd"):
        said = "\n".join(run_all(chosen, commit, tmp_path, jobs=2))
        assert (tmp_path / f"at-{commit}" / "first").read_text() == "x"
        kept = Kept.read(read.file(tmp_path))
        assert kept is not None
        assert kept.commit == commit
        assert kept.text.strip() == "x"
        assert "third" in said  # what failed is run again
    assert not (tmp_path / "first").exists()


def test_what_is_kept_is_read_whole_while_it_is_written(tmp_path: Path) -> None:
    """Commands that run side by side report each other's outputs as they come."""
    own = Kept("0123456", "2026-01-01", 1.0, ended=True, text="x" * 100_000)
    own.write(tmp_path / "own.txt")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [own.write(tmp_path / "own.txt") for _ in range(200)])
        read = 0
        while not writing.done():
            assert Kept.read(tmp_path / "own.txt") == own
            read += 1
    assert read > 0
    assert len(writing.result()) == 200


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
