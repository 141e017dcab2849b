"""The paper: its form is the journal's, its sources are there, its figures are the pages'."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks.paper import BEGIN, END, PAGE, PAPER, everyday, interval, written

yaml = pytest.importorskip("yaml", reason="its head is YAML")

ROOT = Path(__file__).parents[2]
SECTIONS = ["Summary", "Statement of need", "State of the field", "Software design"]
SECTIONS += ["Research impact statement", "Acknowledgements", "References"]
TEXT = PAPER.read_text("utf-8")
BODY = TEXT.split("---", 2)[2]
WITHOUT_DOI = {"flamary2021", "pascualmarqui2002", "paszke2019"}
"""Journals and proceedings that have none."""
ENTRY = re.compile(r"^@\w+\{(\w+),(.*?)^\}", re.MULTILINE | re.DOTALL)


def test_its_head_and_sections_are_those_that_the_journal_asks_for() -> None:
    head = yaml.safe_load(TEXT.split("---", 2)[1])
    assert {"title", "tags", "authors", "affiliations", "date", "bibliography"} <= set(head)
    known = {place["index"] for place in head["affiliations"]}
    assert all(author["affiliation"] in known for author in head["authors"])
    assert re.findall(r"^# (.*)$", BODY, re.MULTILINE) == SECTIONS
    assert 750 <= len(re.sub(r"<!--.*?-->|\|.*\|", "", BODY).split()) <= 1750


def test_every_work_that_is_cited_is_listed_and_no_other() -> None:
    listed = dict(ENTRY.findall((PAPER.parent / "paper.bib").read_text("utf-8")))
    cited = set(re.findall(r"@([a-z]+\d{4})", BODY))
    assert cited == set(listed)
    ours = dict(ENTRY.findall((ROOT / "src/majorant/references.bib").read_text("utf-8")))
    for key in cited & set(ours):
        own, theirs = (re.findall(r"(?:doi|eprint) = \{(.*)\}", one[key]) for one in (listed, ours))
        assert own == theirs, key
    bare = {key for key, entry in listed.items() if not re.search(r"(doi|eprint) =", entry)}
    assert bare == WITHOUT_DOI


def test_its_table_is_that_of_the_page() -> None:
    found = TEXT[TEXT.index(BEGIN) : TEXT.index(END) + len(END)]
    assert found == written(), "run python -m benchmarks.paper"
    means, differences, command = everyday()
    assert means[0]["EMD mm"] in found
    assert command.startswith("majorant bench everyday")
    for row in differences:
        mean, low, high = interval(row["EMD mm"])
        assert low <= mean <= high


def test_what_it_says_of_the_samples_stands_on_the_page() -> None:
    said = re.search(r"All (\d+) cells, (\d+) samples of each", PAGE.read_text("utf-8"))
    assert said is not None
    words = {"4": "Four", "8": "Eight", "20": "Twenty", "40": "Forty", "100": "A hundred"}
    assert f"{words[said[2]]} samples of each of {said[1]} cells" in " ".join(BODY.split())


def test_pictures_labels_and_commands_are_there() -> None:
    for place in re.findall(r"\]\(([^)]+\.png)\)", BODY):
        assert (PAPER.parent / place).is_file(), place
    labels = set(re.findall(r"\\label\{([\w:]+)\}", BODY))
    assert set(re.findall(r"\\autoref\{([\w:]+)\}", BODY)) == labels
    for module in re.findall(r"python -m (benchmarks\.\w+)", BODY):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file()
    for script in re.findall(r"python (docs/images/\w+\.py)", BODY):
        assert (ROOT / script).is_file()
