"""``majorant info``: versions, cache, solvers, and checks that can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from majorant.errors import MajorantError


@dataclass(frozen=True)
class Finding:
    """One line of the self-check: what was checked, whether it held, what was seen."""

    what: str
    good: bool
    seen: str


def check_leadfield() -> Finding:
    """The packaged lead field is there and is what its hash says."""
    from majorant.forward.leadfield import Leadfield

    head = Leadfield.template_small()
    shape = f"{head.n_sensors} electrodes, {head.n_locations} regions"
    return Finding("packaged lead field", (head.n_sensors, head.n_locations) == (90, 994), shape)


def check_localisation() -> Finding:
    """sLORETA finds single sources without noise exactly, which is its theorem."""
    import torch

    from majorant import registry
    from majorant.forward.leadfield import Leadfield, average_reference
    from majorant.problem import MatrixOperator, Problem
    from majorant.solvers.loop import solve

    head = Leadfield.template_small()
    lead = head.transformed(average_reference(head.n_sensors)).gain.to(torch.float64)
    lead = lead / lead.norm()
    chosen = torch.arange(0, head.n_locations, 97)
    problem = Problem(MatrixOperator(lead), lead[:, chosen].mT[:, :, None].contiguous())
    found = solve(problem, registry.make("sloreta")).estimate.abs()[..., 0].argmax(1)
    hits = int((found == chosen).sum())
    return Finding("sLORETA without noise", hits == len(chosen), f"{hits} of {len(chosen)} exact")


def check_descent() -> Finding:
    """Champagne's evidence cost does not rise."""
    import torch

    from majorant import registry
    from majorant.problem import MatrixOperator, Problem
    from majorant.solvers.loop import solve

    generator = torch.Generator().manual_seed(0)
    lead = torch.randn(16, 60, generator=generator, dtype=torch.float64)
    y = torch.randn(4, 16, 8, generator=generator, dtype=torch.float64)
    certificate = solve(Problem(MatrixOperator(lead), y), registry.make("champagne")).certificate
    return Finding("Champagne descends", certificate.holds(), certificate.sentence())


def check_cache() -> Finding:
    """The cache folder can be written; without it the head is built every time."""
    from majorant.files.cache import cache_folder

    folder = cache_folder()
    probe = folder / ".probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return Finding("cache", False, f"{folder} cannot be written ({error.strerror})")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Finding("cache", True, f"{folder}, {size / 1e6:.0f} MB")


CHECKS: tuple[Callable[[], Finding], ...] = (
    check_leadfield,
    check_localisation,
    check_descent,
    check_cache,
)


def findings() -> Iterator[Finding]:
    """Run the checks; one that cannot run is one that failed."""
    for check in CHECKS:
        try:
            yield check()
        except MajorantError as error:
            name = (check.__doc__ or check.__name__).split(";")[0].rstrip(".")
            yield Finding(name, False, str(error))


def document() -> dict[str, Any]:
    """Versions, solvers and the outcome of every check, as plain values."""
    from majorant.imaging.result import versions
    from majorant.registry import SOLVERS

    return {
        "versions": versions(),
        "solvers": {spec.name: spec.summary for spec in SOLVERS.values()},
        "checks": [asdict(finding) for finding in findings()],
    }


def print_info(found: dict[str, Any]) -> None:
    """Print what :func:`document` found."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    about = Table(title="Versions", show_header=False, box=None, title_justify="left")
    for name, number in found["versions"].items():
        about.add_row(name, number)
    console.print(about)
    solvers = Table(title="\nSolvers", show_header=False, box=None, title_justify="left")
    for name, summary in found["solvers"].items():
        solvers.add_row(name, summary)
    console.print(solvers)
    console.print("\n[italic]Self-check[/]")
    for check in found["checks"]:
        mark = "[green]ok  [/]" if check["good"] else "[red]fail[/]"
        console.print(f" {mark} {check['what']}: ", end="")
        console.print(check["seen"], markup=False)
