"""Several conditions of a recording, and a contrast of two, imaged by one fitted imager."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from majorant.account import Account
from majorant.errors import MajorantError
from majorant.imaging.image import fitted_imager, imaged
from majorant.imaging.result import ImageResult, ImageSettings
from majorant.recording.conditions import contrast, pooled_data_covariance, sides
from majorant.recording.prepare import Prepared

__all__ = ["Conditions", "image_conditions"]


@dataclass(frozen=True, eq=False)
class Conditions:
    """Estimates of several conditions that share head, noise, filters and scale.

    Attributes
    ----------
    names : tuple of str
        Of the results; the contrast, if there is one, comes last.
    results : tuple of ImageResult
    sides : tuple of int or None
        Which two conditions the contrast is of.
    """

    names: tuple[str, ...]
    results: tuple[ImageResult, ...]
    sides: tuple[int, int] | None = None

    @property
    def title(self) -> str:
        """File and conditions."""
        own = self.results[0].prepared
        file = own.title.removesuffix(own.evoked.comment)
        last = len(self.names) - (self.sides is not None)
        return f"{file}{', '.join(self.names[:last])}"

    def at_peaks(self) -> list[dict[str, Any]]:
        """Every condition's amplitude at the peaks of every other, in the unit of the estimate."""
        rows = []
        for name, result in zip(self.names, self.results, strict=True):
            content = result.content
            for rank, peak in enumerate(content.peaks, 1):
                sample = int(np.abs(content.times - peak.time).argmin())
                values = {
                    other: float(r.content.sources.values[peak.location, sample])
                    for other, r in zip(self.names, self.results, strict=True)
                }
                rows.append({"of": name, "rank": rank, "amplitudes": values})
        return rows

    def summary(self) -> dict[str, Any]:
        """Everything that was decided and found, as plain values, ready for JSON."""
        summaries = [result.summary() for result in self.results]
        count = len(self.results) - (self.sides is not None)
        named = [
            {"name": name, **summary} for name, summary in zip(self.names, summaries, strict=True)
        ]
        return {
            "title": self.title,
            "input": summaries[0]["input"],
            "settings": summaries[0]["settings"],
            "solver": summaries[0]["solver"],
            "decisions": [
                said
                for said in summaries[0]["decisions"]
                if all(said in other["decisions"] for other in summaries)
            ],
            "conditions": named[:count],
            "contrast": None
            if self.sides is None
            else {"of": [self.names[k] for k in self.sides], **named[-1]},
            "unit": self.results[0].unit,
            "largest": self.results[0].content.limit,
            "at_peaks": self.at_peaks(),
            "versions": summaries[0]["versions"],
            "citations": summaries[0]["citations"],
        }


def image_conditions(
    prepared: Sequence[Prepared],
    settings: ImageSettings | None = None,
    difference: str | None = None,
    say: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Conditions:
    """Image several conditions alike: one head, one noise, one filter, one scale of colours.

    Parameters
    ----------
    prepared : sequence of Prepared
        From :func:`majorant.recording.conditions.prepare_conditions`.
    settings : ImageSettings, optional
    difference : str, optional
        A contrast such as ``"A-B"``: the difference wave is imaged too, and its standard deviations
        come from trials of both sides, each redrawn for itself, where there are trials.
    say, progress : callable, optional
        As of :func:`majorant.imaging.image.image`.

    Raises
    ------
    MajorantError
        If the contrast is not of two of them, or recording and solver do not fit together.
    """
    if not prepared:
        raise MajorantError("no condition was given; expected one or more prepared averages")
    settings = settings or ImageSettings()
    pair = None if difference is None else sides(difference, prepared)
    shared = Account(say) if say else Account()
    imager = fitted_imager(prepared[0], settings, shared, lambda: pooled_data_covariance(prepared))
    waves = list(prepared)
    if pair is not None:
        waves.append(contrast(prepared[pair[0]], prepared[pair[1]]))
    results = []
    for wave in waves:
        own = Account(_spoken(say, wave) if say else lambda sentence: None)
        own.decisions.extend([*wave.decisions, *shared.decisions])
        # An imager remembers its last average: each result keeps one that remembers its own.
        results.append(imaged(copy.copy(imager), wave, settings, own, progress))
    return Conditions(tuple(wave.evoked.comment for wave in waves), _on_one_scale(results), pair)


def _spoken(say: Callable[[str], None], wave: Prepared) -> Callable[[str], None]:
    name = wave.evoked.comment
    return lambda sentence: say(f"{name}: {sentence}")


def _on_one_scale(results: Sequence[ImageResult]) -> tuple[ImageResult, ...]:
    """Let the colours of all mean the same."""
    largest = max(float(np.abs(r.content.sources.values).max(initial=0.0)) for r in results)
    limit = largest or None
    return tuple(replace(r, content=replace(r.content, limit=limit)) for r in results)
