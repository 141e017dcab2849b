"""Heads of an age: the table, and what it does to a lead field."""

from __future__ import annotations

import numpy as np
import pytest

from majorant.forward.ages import AGES, head_at, read_age
from majorant.forward.shells import thicker
from majorant.head import infant
from majorant.problem import MajorantError


def test_an_age_is_read_in_years_months_and_weeks() -> None:
    assert read_age("7") == read_age(7) == read_age("7 years") == 7
    assert read_age("18mo") == read_age("1.5y") == 1.5
    assert read_age("2wk") == pytest.approx(2 / 52.18)
    for none in ("seven", "-3", "400", "nan", "6 km"):
        with pytest.raises(MajorantError, match="is no age"):
            read_age(none)


def test_heads_grow_and_their_skulls_conduct_less() -> None:
    ages = np.linspace(0, 18, 73)
    rows = [head_at(age) for age in ages]
    assert (np.diff([row.circumference for row in rows]) > 0).all()
    assert (np.diff([row.thickness_mm for row in rows]) > 0).all()
    assert (np.diff([row.skull for row in rows]) < 0).all()
    assert all(row.circumference_from and row.skull_from for row in rows)
    # Medians of the WHO, mean of boys and girls, at one year; interpolated rows lie between.
    assert head_at(1.0).circumference == pytest.approx((46.1 + 44.9) / 2)
    assert AGES[4].circumference < head_at(2.5).circumference < AGES[5].circumference
    assert head_at(40.0) == AGES[-1]


def test_a_thinner_skull_keeps_the_brain_and_the_scalp() -> None:
    rays = np.random.default_rng(0).standard_normal((40, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    shells = np.stack([radius * rays for radius in (0.07, 0.076, 0.085)])
    thin = thicker(shells, 0.5)
    np.testing.assert_array_equal(thin[[0, 2]], shells[[0, 2]])
    before, after = (np.linalg.norm(s[1] - s[0], axis=1) for s in (shells, thin))
    np.testing.assert_allclose(after, before / 2)
    assert thicker(shells, 1.0) is shells


def test_a_template_of_the_age_is_fetched_or_refused_in_a_sentence(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path

    import mne

    folder = Path(str(tmp_path))
    asked: list[str] = []

    def fetch(age: str, subjects_dir: str, verbose: str) -> str:
        asked.append(age)
        if age == "3mo":
            raise OSError("no network")
        return f"ANTS{age}"

    monkeypatch.setattr(mne.datasets, "fetch_infant_template", fetch)
    assert infant.fetch_infant(0.5, folder) == "ANTS6mo"
    assert infant.infant_name(0.02) == "2wk"
    assert infant.infant_name(3.0) is None
    with pytest.raises(MajorantError, match="cannot be fetched"):
        infant.fetch_infant(0.25, folder)
    with pytest.raises(MajorantError, match="end at two years"):
        infant.fetch_infant(7.0, folder)
    assert asked == ["6mo", "3mo"]
