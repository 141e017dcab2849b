"""The package as a whole: it imports lightly, and its one list of solvers is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import majorant
from majorant.problem import MajorantError
from majorant.registry import SOLVERS, make, spec

ROOT = Path(__file__).parents[1]


def test_importing_majorant_loads_nothing_heavy() -> None:
    code = "import sys, majorant; print(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in out.stdout.split()}
    assert not loaded & {"torch", "numpy", "scipy", "mne", "matplotlib", "nilearn", "rich"}


def test_an_sloreta_estimate_loads_nothing_that_is_learned() -> None:
    code = (
        "import sys, torch\n"
        "from majorant import Leadfield, Problem, make, solve\n"
        "head = Leadfield.template_small().pick(['Fz', 'Cz', 'Pz', 'Oz'])\n"
        "y = torch.ones(1, 4, 2, dtype=torch.float64).cumsum(1)\n"
        "assert solve(Problem(head.operator(), y), make('sloreta')).estimate.isfinite().all()\n"
        "print(*sorted(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not [name for name in out.stdout.split() if name.startswith("majorant.learned")]


def test_every_public_name_resolves() -> None:
    assert all(getattr(majorant, name) is not None for name in majorant.__all__)


def test_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        majorant.nonsense  # noqa: B018


@pytest.mark.parametrize("name", SOLVERS)
def test_every_entry_of_the_registry_makes_its_solver(name: str) -> None:
    entry = spec(name)
    assert entry.make() is not None
    assert entry.summary.endswith(".")
    assert entry.guarantee.endswith(".")
    assert entry.citation


def test_an_unknown_solver_is_answered_with_the_list() -> None:
    with pytest.raises(MajorantError, match=r"there is no solver 'lorreta'.*sloreta"):
        make("lorreta")


def test_the_readme_lists_every_solver_as_the_registry_does() -> None:
    text = (ROOT / "README.md").read_text()
    for entry in SOLVERS.values():
        assert f"| `{entry.name}` | {entry.summary} | {entry.guarantee} |" in text


def test_versions_agree() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{majorant.__version__}"' in text
    assert f"version: {majorant.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_the_solver_in_the_contributing_guide_runs() -> None:
    import torch

    from majorant import MatrixOperator, Problem, solve

    guide = (ROOT / "CONTRIBUTING.md").read_text()
    match = re.search(r"```python\n(.*?)```", guide, re.DOTALL)
    assert match is not None
    space: dict[str, object] = {"__name__": "guide"}
    module = type(sys)("guide")
    sys.modules["guide"] = module
    try:
        exec(match.group(1), space)
        lead = torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        problem = Problem(MatrixOperator(lead), torch.ones(2, 6, 3, dtype=torch.float64))
        solution = solve(problem, space["Backprojection"]())  # type: ignore[operator]
    finally:
        del sys.modules["guide"]
    assert solution.estimate.shape == (2, 9, 3)
