"""Data as people record them: any source, any cap, any head but the one that is believed.

Sources live on a mesh finer than any solver's (:mod:`.cortex`, :mod:`.sources`), with courses of
many kinds (:mod:`.activity`); resting cortex and sensors are noisy, and their covariance is
estimated from a finite baseline as a user would (:mod:`.noise`). :mod:`.stream` puts them together.
Training, validation and test share no seed, no shape, no course and no neural-mass clip.
"""

from majorant.simulate.everyday.cortex import FineCortex
from majorant.simulate.everyday.settings import FAMILIES, EverydaySettings
from majorant.simulate.everyday.stream import Everyday, EverydayBatch, Session
from majorant.simulate.everyday.world import EverydayHead, World

__all__ = [
    "FAMILIES",
    "Everyday",
    "EverydayBatch",
    "EverydayHead",
    "EverydaySettings",
    "FineCortex",
    "Session",
    "World",
]
