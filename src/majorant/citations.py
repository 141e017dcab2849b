"""What to cite: the entries of ``references.bib``, by the solvers and parts they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from urllib.parse import quote

ALWAYS = "software"
"""Keyword of the package itself."""
_FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One work.

    Attributes
    ----------
    key, kind : str
        ``"wipf2010"``, ``"article"``.
    fields : mapping
        As in BibTeX, with its braces.
    keywords : tuple of str
        Names of solvers, methods, data and parts that rest on it.
    text : str
        The entry in BibTeX, without keywords.
    """

    key: str
    kind: str
    fields: Mapping[str, str]
    keywords: tuple[str, ...]
    text: str

    def sentence(self) -> str:
        """Authors (year), title, where, for reading."""
        said = {name: _plain(value) for name, value in self.fields.items()}
        authors = [_family(name) for name in said.get("author", "").split(" and ") if name]
        if len(authors) > 6:
            authors = [*authors[:5], "et al."]
        where = said.get("journal") or said.get("booktitle") or ""
        if "volume" in said:
            where += f" {said['volume']}"
        if "pages" in said:
            where += f":{said['pages'].replace('--', '–')}"
        parts = [f"{', '.join(authors)} ({said['year']})".strip(), said["title"], where]
        return ". ".join(part for part in parts if part) + "."

    @property
    def link(self) -> str | None:
        """Where it is found, or None."""
        if "doi" in self.fields:
            return f"https://doi.org/{quote(self.fields['doi'], safe='/:;()')}"
        if "eprint" in self.fields:
            return f"https://arxiv.org/abs/{self.fields['eprint']}"
        return None


@cache
def entries() -> tuple[Entry, ...]:
    """All works, in the order of the file."""
    text = files("majorant").joinpath("references.bib").read_text(encoding="utf-8")
    blocks = re.findall(r"^@\w+\{.*?^\}", text, re.MULTILINE | re.DOTALL)
    return tuple(_entry(block) for block in blocks)


def keywords() -> frozenset[str]:
    """All that can be asked for."""
    return frozenset(word for entry in entries() for word in entry.keywords)


def about(words: Iterable[str]) -> tuple[Entry, ...]:
    """Return the works behind some solvers, methods or parts; the package comes first.

    Parameters
    ----------
    words : iterable of str
        Keywords; unknown ones have no works.

    Returns
    -------
    tuple of Entry
    """
    wanted = {ALWAYS, *words}
    return tuple(entry for entry in entries() if wanted & set(entry.keywords))


def _entry(block: str) -> Entry:
    kind, key = re.match(r"@(\w+)\{([^,]+),", block).groups()  # pyright: ignore[reportOptionalMemberAccess]
    fields = dict(_FIELD.findall(block))
    words = tuple(word.strip() for word in fields.pop("keywords").split(","))
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items()]
    return Entry(key, kind, fields, words, f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}")


def _plain(value: str) -> str:
    return value.replace("\\&", "&").replace("{", "").replace("}", "")


def _family(name: str) -> str:
    """Family name and initials."""
    family, _, given = name.partition(", ")
    if name == "others":
        return "et al."
    return f"{family} {''.join(part[0] for part in given.split())}".strip()
