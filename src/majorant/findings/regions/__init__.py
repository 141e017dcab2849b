"""The region of a peak: where its source is, with a probability that was calibrated, not assumed.

:mod:`.conformal` has the theorem, :mod:`.scores` says which places are likelier than others,
:mod:`.calibrate` simulates on the recording's own cap, noise and window with another head for every
trial, and :mod:`.find` reads off the regions of an estimate.
"""

from majorant.findings.regions.calibrate import Calibration, calibrated
from majorant.findings.regions.find import find_regions
from majorant.findings.regions.simulated import why_not

__all__ = ["Calibration", "calibrated", "find_regions", "why_not"]
