"""Where the lead field comes from: arrays, files, and the offline template head."""

from __future__ import annotations

from majorant.forward.leadfield import Leadfield, average_reference

__all__ = ["Leadfield", "average_reference"]
