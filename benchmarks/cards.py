"""Write the model cards beside the weights, from what the files say of themselves.

    python -m benchmarks.cards

A card begins with the YAML that model hubs read: licence, library, data, metrics, results. Nothing
is typed by hand: new weights get new cards by this command, and ``tests/weights/test_cards.py``
fails until it was given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open

from majorant.weights.shipped import FOLDER

SIMULATED = {
    "sereega": "simulated, SEREEGA type (majorant.simulate.dataset)",
    "nmm": "simulated, neural masses (majorant.simulate.neural_mass_data)",
    "general": "simulated, any cap and level (majorant.simulate.general)",
    "shared": "simulated, everyday (majorant.simulate.everyday)",
    "everyday": "simulated, everyday (majorant.simulate.everyday)",
}
SPARSE = "simulated, several sources (majorant.simulate.sparse)"
ABOUT = {
    "mm-net": (
        "Source imaging for EEG by an unrolled majorization-minimization network.",
        "tran2026",
    ),
    "unfolded-sbl": ("Sparse Bayesian source imaging with learned corrections.", "correction2026"),
}
CALLED = {"off": "1 - cos", "start": "1 - cos of the start", "one_minus_cos": "1 - cos"}
NO_FIGURES = ("n", "seed", "step", "refused", "cpu minutes")
ELSEWHERE = (
    "`docs/sbl.md` (`majorant bench sbl`) and `docs/everyday.md` (`majorant bench everyday`)"
)
"""Where figures stand that no file of weights holds."""


def held(path: Path) -> dict[str, Any]:
    """What a file of weights says of itself."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["majorant"])["info"]


def numbers(found: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, float]]:
    """Figures with their names; of a mean with its interval the mean."""
    for name, value in found.items():
        title = f"{at}{name}"
        if isinstance(value, Mapping):
            yield from numbers(value, f"{title}, ")
        elif name == "caps":
            for cap in value:
                own = {k: v for k, v in cap.items() if k != "electrodes"}
                yield from numbers(own, f"{at}{cap['electrodes']} electrodes, ")
        elif isinstance(value, list) and len(value) == 3 and name.isupper():
            yield title, float(value[0])
        elif isinstance(value, (int, float)) and name not in NO_FIGURES:
            yield f"{at}{CALLED.get(name, name)}", float(value)


def front(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The head of a card, and what the file holds."""
    info = held(path)
    solver = "unfolded-sbl" if path.stem.startswith("unfolded") else "mm-net"
    kind = path.stem.removeprefix(f"{solver}-").removeprefix("unfolded-")
    tested = info.get("metrics", {}).get("test") or info.get("metrics", {})
    figures = dict(numbers(tested))
    data = SIMULATED.get(kind, SPARSE)
    head: dict[str, Any] = {
        "license": "bsd-3-clause",
        "library_name": "majorant",
        "pipeline_tag": "other",
        "tags": ["eeg", "meg", "source-imaging", "inverse-problems", solver],
        "datasets": [data],
        "metrics": sorted({name.rpartition(", ")[2] for name in figures})
        or ["earth mover's distance", "localisation error", "AUC"],
    }
    if figures:
        results = [
            {"type": name.rpartition(", ")[2], "name": name, "value": round(value, 5)}
            for name, value in figures.items()
        ]
        head["model-index"] = [
            {
                "name": path.stem,
                "results": [
                    {
                        "task": {"type": "other", "name": "source imaging"},
                        "dataset": {"type": "simulated", "name": data},
                        "metrics": results,
                    }
                ],
            }
        ]
    return head, info


def card(path: Path) -> str:
    """The card of a file of weights."""
    head, info = front(path)
    solver = "unfolded-sbl" if path.stem.startswith("unfolded") else "mm-net"
    what, cite = ABOUT[solver]
    tested = info.get("metrics", {}).get("test", {})
    command, fails = tested.get("command"), tested.get("fails")
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=96).strip(),
        "---",
        "",
        f"# {path.stem}",
        "",
        f"{what} `majorant cite {solver}` prints what it rests on (`{cite}`).",
        "",
        f"- **File**: `{path.name}`, {path.stat().st_size:,} bytes, safetensors, without pickles.",
        f"- **Data**: {head['datasets'][0]}.",
    ]
    if "model-index" in head:
        by = f"by `{command}`" if command else "at the end of its training, on validation samples"
        lines.append(f"- **Figures**: those of the head, {by}.")
    else:
        lines.append(f"- **Figures**: in {ELSEWHERE}.")
    lines += [
        f"- **Where it fails**: {fails or 'see `docs/what-can-go-wrong.md`'}.",
        "- **Use**: `majorant image FILE --solver "
        + ("mm-net-shared" if path.stem == "mm-net-shared" else solver)
        + "`. It is no medical device.",
        "- **Guarantee**: under the guard no returned energy rises, whatever the weights are "
        "(`docs/guarantees.md`).",
    ]
    return "\n".join(lines) + "\n"


def cards() -> dict[Path, str]:
    """Every card by its place."""
    return {path.with_suffix(".md"): card(path) for path in sorted(FOLDER.glob("*.safetensors"))}


def main() -> None:
    """Write them."""
    for place, text in cards().items():
        place.write_text(text, "utf-8")
        print(place.name)


if __name__ == "__main__":
    main()
