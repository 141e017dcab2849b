"""What stands around the package: recipe, workflow, container and extras agree with pyproject."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import majorant
from majorant.cli.bids_app import translated
from majorant.errors import MajorantError
from majorant.extras import EXTRAS, needed

yaml = pytest.importorskip("yaml", reason="recipes and workflows are YAML")

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NAMES = {"pytorch": "torch", "mne-base": "mne", "matplotlib-base": "matplotlib"}
"""Names of conda's packages that are not those of Python's."""
MODULES = {"pillow": "PIL", "POT": "ot", "mne-bids": "mne_bids", "mne-lsl": "mne_lsl"}
"""How packages are imported whose module has another name."""
BROUGHT = {"sklearn": "nilearn", "h5py": "pymatreader", "contourpy": "matplotlib"}
"""Modules that come with a package of the core."""
ASKED = {"calibrain", "deepinv"}
"""Imported only where somebody else has installed them, and tested for."""


def named(requirement: str) -> str:
    return re.split(r"[ ><=!;\[]", requirement)[0]


def test_the_conda_recipe_says_what_pyproject_says() -> None:
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text("utf-8"))
    assert recipe["context"]["version"] == PROJECT["version"] == majorant.__version__
    python, *wanted = recipe["requirements"]["run"]
    assert python == f"python {PROJECT['requires-python']}"
    ours = {row.split(" ")[0]: row.split(" ")[1] for row in wanted}
    theirs = {named(row): row.removeprefix(named(row)) for row in PROJECT["dependencies"]}
    assert {NAMES.get(name, name): bound for name, bound in ours.items()} == theirs
    points = dict(row.split(" = ") for row in recipe["build"]["python"]["entry_points"])
    assert points == PROJECT["scripts"]
    assert recipe["about"]["license"] == PROJECT["license"]


def test_the_workflow_runs_what_the_makefile_has() -> None:
    text = (ROOT / ".github" / "workflows" / "check.yml").read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert runs
    for line in runs:
        assert re.fullmatch(r"make [a-z-]+ PYTHON=python", line)
        assert line.split()[1] in targets
    matrix = jobs["test"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    pythons = {*matrix["python"], *(row["python"] for row in matrix["include"])}
    assert {"3.12", "3.13", "3.14"} <= pythons
    said = {row.rpartition(" ")[2] for row in PROJECT["classifiers"] if re.search(r":: 3\.\d", row)}
    assert pythons == said
    lowest = min(pythons, key=lambda version: int(version.split(".")[1]))
    assert PROJECT["requires-python"] == f">={lowest}"
    assert "index" not in text


def test_the_container_is_built_of_what_is_there() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    for names in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in names.split())
    asked = re.search(r'"\.\[([a-z,]+)\]"', text)
    assert asked is not None
    assert set(asked[1].split(",")) <= set(PROJECT["optional-dependencies"])
    entry = re.search(r'ENTRYPOINT \["([\w-]+)"\]', text)
    assert entry is not None
    assert PROJECT["scripts"][entry[1]] == "majorant.cli.bids_app:main"


def test_a_bids_app_is_asked_in_the_words_of_bids_apps() -> None:
    words = "study out participant --participant_label sub-01 02 --task_id task-rest --n_cpus 2"
    assert translated([*words.split(), "--event", "tone", "--skip_bids_validator"]) == [
        *("image", "--bids", "study", "--out", "out", "--subjects", "01,02"),
        *("--task", "rest", "--jobs", "2", "--event", "tone"),
    ]
    assert translated(["study", "out", "group", "--condition", "tone"]) == [
        *("group", "out/majorant", "--out", "out/group", "--condition", "tone")
    ]


@pytest.mark.parametrize(
    "words", ["study out", "study out analysis", "study out group --participant_label 01"]
)
def test_a_bids_app_refuses_what_is_no_such_call(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        translated(words.split())
    assert stop.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("module", EXTRAS)
def test_a_package_that_is_missing_is_named_with_its_extra(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, package, extra = EXTRAS[module]
    assert package in map(named, PROJECT["optional-dependencies"][extra])
    assert package not in map(named, PROJECT["dependencies"])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MajorantError, match=rf"needs {package}, .*'majorant\[{extra}\]'"):
        needed(module)


IMPORT = re.compile(
    r"^( *)(?:from ([a-zA-Z]\w*)[\w.]* import|import ([a-zA-Z]\w*)\b)", re.MULTILINE
)


def imports(text: str) -> Iterator[tuple[str, bool]]:
    """Every module outside of the standard library, and whether it is imported late."""
    for indent, first, second in IMPORT.findall(text):
        name = first or second
        if name not in sys.stdlib_module_names and name != "majorant":
            yield name, bool(indent)


def test_the_core_holds_what_is_imported_and_the_rest_is_imported_late() -> None:
    def modules(rows: list[str]) -> set[str]:
        return {MODULES.get(named(row), named(row)) for row in rows}

    core = modules(PROJECT["dependencies"])
    assert len(core) == 15
    extra = {m for rows in PROJECT["optional-dependencies"].values() for m in modules(rows)}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for name, late in imports(path.read_text("utf-8")):
            home = BROUGHT.get(name, name)
            if home in core or name in ASKED:
                continue
            assert home in extra, f"{path.name} imports {name}, which nothing brings"
            # The compiled loops are a module of their own, which nothing needs.
            assert late or path.name == "kernels.py", f"{path.name} needs {name} at its import"


def test_people_are_told_how_to_behave_and_where_to_ask() -> None:
    for name in ("CODE_OF_CONDUCT.md", "SUPPORT.md"):
        assert len((ROOT / name).read_text("utf-8")) > 800
        assert f"({name})" in (ROOT / "README.md").read_text("utf-8")
    assert PROJECT["urls"]
