"""Commands as a user gives them, and how they end."""

from __future__ import annotations

import pytest

from majorant.cli import main


def runs(*arguments: object) -> None:
    """Run, and expect exit status 0."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    assert stop.value.code == 0


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run, expect exit status 2, and return the one sentence."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    said = capsys.readouterr().err
    assert stop.value.code == 2, said
    assert "Traceback" not in said
    assert said.count("Error") == 1
    return " ".join(said.split())
