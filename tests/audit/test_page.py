"""The page of an audit: its sections, its numbers on their colours, names that do nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.report.test_page import HOSTILE, Reader, assert_sound

from majorant.account import Account
from majorant.audit.advice import advice
from majorant.audit.cap import Cap
from majorant.audit.heads import AuditHead
from majorant.audit.page import Maps, render_audit
from majorant.audit.regions import Expected, by_place
from majorant.audit.run import PreparedAudit, run
from majorant.audit.settings import AuditSettings
from majorant.audit.summary import Audit, cortex_maps
from majorant.audit.tables import change_table, place_table
from majorant.errors import MajorantError
from majorant.forward.surfaces import read_surfaces
from majorant.report.shade import Shade

SETTINGS = AuditSettings(n=30, snr=(5.0, 5.0), levels=1, solvers=("sloreta",), extent=30.0, seed=3)


@pytest.fixture(scope="module")
def found(ball: AuditHead, cap: Cap, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder: Path = tmp_path_factory.mktemp("chunks")
    return run(PreparedAudit(SETTINGS, cap, ball, Account()), folder, lambda done, total: None)


@pytest.fixture(scope="module")
def maps(found: Audit) -> Maps:
    return {solver: cortex_maps(found, solver) for solver in found.solvers}


def rendered(audit: Audit, maps: Maps, command: str = "majorant audit") -> str:
    shade = Shade(read_surfaces(), 44)
    return render_audit(audit, maps, shade, command, lambda done, total: None)


def test_every_section_is_there_with_its_pictures(found: Audit, maps: Maps) -> None:
    reader = assert_sound(rendered(found, maps))
    keys = [attrs["id"] for tag, attrs in reader.tags if tag == "section"]
    assert keys == ["advice", "seen", "maps", "places", "levels", "method", "cite"]
    # Four sides each: what is seen, three maps, and the two ends of their intervals.
    assert sum(tag == "img" for tag, _ in reader.tags) == 4 * (1 + 3 + 6)
    assert all(entry.what in reader.said for entry in advice(found))
    assert all(name in reader.said for name in found.cap.chosen)
    error = found.estimate(found.values("sloreta")[:, 0])
    assert f"{error.mean:.0f} mm" in reader.said
    assert "What this does not say" in reader.said


def test_sizes_of_regions_are_shown_where_they_were_asked_for(found: Audit, maps: Maps) -> None:
    assert "How surely places" not in Reader(rendered(found, maps)).said
    first = found.solvers[0]
    sizes = {first: (Expected("all", 300, 41.7), Expected("occipital", 30, 0.2))}
    settings = replace(found.settings, region=0.9)
    said = Reader(rendered(replace(found, settings=settings, regions=sizes), maps)).said
    assert "How surely places can be told" in said
    assert "42 (300)" in said
    assert "1.0 (30)" in said


def test_few_trials_say_nothing_of_a_lobe() -> None:
    names = np.repeat(["a", "b", "c"], [8, 7, 20])
    areas = np.r_[np.full(8, 30.0), np.full(7, 1.0), np.arange(20.0)]
    assert by_place(names, areas) == (Expected("c", 20, 9.5), Expected("a", 8, 30.0))


def test_regions_of_other_heads_are_refused() -> None:
    for wrong in ({"age": 3.0}, {"montage": None, "forward": "own-fwd.fif"}):
        with pytest.raises(MajorantError, match="heads around the template of an adult"):
            AuditSettings(region=0.9, **wrong)  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match=r"such as 0\.9"):
        AuditSettings(region=9.0)


def test_hostile_names_are_shown_and_do_nothing(found: Audit, maps: Maps) -> None:
    evil = " ".join(HOSTILE)
    cap = replace(found.cap, title=evil)
    hostile = replace(found, cap=cap, decisions=HOSTILE, left_out={"mm-net": evil})
    text = rendered(hostile, maps, evil)
    reader = assert_sound(text)
    assert "<script>alert(1)</script>" in reader.said
    assert not reader.scripts
    assert "\u202e" not in text


def test_tables_say_every_place_and_every_change(found: Audit) -> None:
    places = Reader(place_table(found))
    listed = [group for group in found.groups if group.kind != "gyrus" or group.enough]
    assert all(group.name in places.said for group in listed)
    gyri = [group for group in found.groups if group.kind == "gyrus"]
    lobes = [group for group in found.groups if group.kind == "lobe"]
    everywhere = np.ones(len(found.locations), int)
    named = np.array(found.head.regions)[found.locations] != ""
    assert np.array_equal(sum(group.rows.astype(int) for group in gyri), named)
    assert np.array_equal(sum(group.rows.astype(int) for group in lobes), everywhere)
    small = [group for group in listed if not group.enough]
    assert places.said.count("too few") == len(small)
    errors = found.values("sloreta")[:, 0]
    whole = next(group for group in found.groups if group.kind == "all")
    mean = found.estimate(errors, whole.rows)
    assert f"{mean.mean:.0f} ({mean.low:.0f} to {mean.high:.0f})" in places.said
    changes = Reader(change_table(found))
    assert "as audited" in changes.said
    assert changes.said.count(" electrodes") >= 2
    assert "twice the trials (8 dB)" in changes.said
