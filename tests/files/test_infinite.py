"""A number of a file that is no whole number is refused like any other damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from majorant.errors import MajorantError
from majorant.files.archive import read_archive


@pytest.mark.parametrize("version", ["Infinity", "1e999", "NaN"])
def test_an_infinite_version_is_refused(version: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    record = json.dumps({"kind": "k", "version": 1, "info": {}}).replace("1", version)
    save_file({"a": torch.ones(1)}, path, {"majorant": record, "sha256": "0" * 64})
    with pytest.raises(MajorantError, match="record is missing"):
        read_archive(path, kind="k", version=1)
