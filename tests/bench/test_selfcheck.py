"""`majorant info`: what it prints, and that its self-check can fail."""

from __future__ import annotations

import pytest

from majorant import selfcheck
from majorant.cli import main
from majorant.errors import DamagedFile
from majorant.registry import SOLVERS
from majorant.selfcheck import Finding, findings


def asked(capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit status and what was printed."""
    with pytest.raises(SystemExit) as stop:
        main(["info"])
    return stop.value.code, capsys.readouterr().out


def test_versions_solvers_cache_and_checks_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("MAJORANT_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")
    code, told = asked(capsys)
    assert code == 0
    assert all(word in told for word in ("python", "torch", "mne", str(tmp_path), *SOLVERS))
    assert "fail" not in told


def test_a_cache_that_cannot_be_written_fails_the_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAJORANT_CACHE", str(tmp_path / "file" / "cache"))
    code, told = asked(capsys)
    assert code == 1
    assert "cannot be written" in " ".join(told.split())


def test_a_check_that_cannot_run_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> Finding:
        """The file is whole; and more."""
        raise DamagedFile("the file is damaged")

    monkeypatch.setattr(selfcheck, "CHECKS", (damaged,))
    assert list(findings()) == [Finding("The file is whole", False, "the file is damaged")]
