"""Heads of children: circumference, thickness and conductivity of the skull by age.

What is known of them is uneven, and every row says from where it is:

- Circumference up to five years is measured well: medians of the WHO Child Growth Standards (2007),
  mean of boys and girls. After that, charts differ by half a centimetre (Nellhaus, Pediatrics
  41:106, 1968; Rollins, Collins and Holden, J Pediatr 156:907, 2010); values are rounded to it.
- Thickness: adults have 6.0 mm, with a standard deviation of 1.2 (Antonakakis et al., NeuroImage
  223:117353, 2020); a newborn has about a third of that, most of the vault stays below 3 mm before
  four years (Domenech-Fernandez et al., Eur Spine J 30:410, 2021), and it grows fast in the first
  year, slower in the second, then until adulthood (Delye et al., J Neurosurg Pediatr 16:687, 2015).
  Rows in between are drawn by hand through these. Within 25 % at best.
- Conductivity is hardly known. Of five skulls opened in surgery that of the youngest, 11 years,
  conducted 2.5 times as well as that of the oldest, 50 years (0.080 and 0.032 S/m; Hoekema et al.,
  Brain Topogr 16:29, 2003); models of newborns take from 0.004 to 0.33 S/m (Roche-Labarbe et al.,
  Hum Brain Mapp 29:167, 2008; Lew et al., NeuroImage 76:282, 2013; Odabaee et al., NeuroImage
  96:73, 2014). Values are the adult's 0.006 S/m times a factor, two at 11 years and five, the most
  that three shells take, at birth, geometric in between. Within a factor of two at best.

Shells have neither fontanels nor sutures, and a scaled adult's cortex is no infant's: below two
years a template of the age is better (`majorant.head.infant`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from majorant.errors import MajorantError

__all__ = ["ADULT", "AGES", "HeadOfAge", "head_at", "read_age"]

ADULT = 18.0
"""Years from which a head is the template's."""
ADULT_MM = 6.0
OLDEST = 120.0
WHO = "WHO 2007"
CHARTS = "Nellhaus 1968, Rollins 2010 (to 0.5 cm)"
YOUNG = "Domenech-Fernandez 2021, Delye 2015; newborn models 0.004 to 0.33 S/m"
CHILD = "between Domenech-Fernandez 2021 and Antonakakis 2020; Hoekema 2003"


@dataclass(frozen=True)
class HeadOfAge:
    """A typical head of an age.

    Attributes
    ----------
    age : float
        Years.
    circumference : float
        cm.
    thickness_mm : float
        Of the skull's vault.
    skull : float
        Its conductivity, S/m.
    circumference_from, skull_from : str
        Where the values are from.
    """

    age: float
    circumference: float
    thickness_mm: float
    skull: float
    circumference_from: str
    skull_from: str

    @property
    def share(self) -> float:
        """Thickness of the skull as a share of an adult's."""
        return self.thickness_mm / ADULT_MM

    @property
    def words(self) -> str:
        """The age in words."""
        if self.age >= 2:
            return f"{self.age:g} years"
        months = 12 * self.age
        return "a newborn" if months < 0.5 else f"{months:.0f} months"


AGES: tuple[HeadOfAge, ...] = (
    HeadOfAge(0.0, 34.2, 2.0, 0.030, WHO, YOUNG),
    HeadOfAge(0.25, 40.0, 2.2, 0.0294, WHO, YOUNG),
    HeadOfAge(0.5, 42.8, 2.4, 0.0288, WHO, YOUNG),
    HeadOfAge(1.0, 45.5, 2.7, 0.0276, WHO, YOUNG),
    HeadOfAge(2.0, 47.7, 3.0, 0.0254, WHO, YOUNG),
    HeadOfAge(3.0, 49.0, 3.3, 0.0234, WHO, CHILD),
    HeadOfAge(5.0, 50.3, 3.8, 0.0198, WHO, CHILD),
    HeadOfAge(7.0, 51.5, 4.2, 0.0167, CHARTS, CHILD),
    HeadOfAge(11.0, 53.0, 4.8, 0.012, CHARTS, CHILD),
    HeadOfAge(14.0, 54.5, 5.3, 0.009, CHARTS, CHILD),
    HeadOfAge(18.0, 55.5, 6.0, 0.006, CHARTS, "Antonakakis 2020; MNE's value"),
)
"""Rows of the table, ascending; `head_at` interpolates between them."""


def head_at(age: float) -> HeadOfAge:
    """Return a typical head of an age; from 18 years on, that of 18.

    Parameters
    ----------
    age : float
        Years.

    Raises
    ------
    MajorantError
        If it is no age.
    """
    age = read_age(age)
    if age >= ADULT:
        return AGES[-1]
    after = next(i for i, row in enumerate(AGES) if row.age > age)
    low, high = AGES[after - 1], AGES[after]
    share = (age - low.age) / (high.age - low.age)

    def between(a: float, b: float) -> float:
        return a + share * (b - a)

    return HeadOfAge(
        age,
        between(low.circumference, high.circumference),
        between(low.thickness_mm, high.thickness_mm),
        math.exp(between(math.log(low.skull), math.log(high.skull))),
        low.circumference_from,
        low.skull_from,
    )


def read_age(given: float | str) -> float:
    """Return an age in years: 7, "7", "18mo", "6 months", "2wk", "1.5y".

    Raises
    ------
    MajorantError
        If it is none.
    """
    found = re.fullmatch(
        r"\s*(\d+(?:\.\d*)?)\s*(years?|yrs?|y|months?|mo|weeks?|wk)?\s*", str(given).casefold()
    )
    if found is not None:
        unit = found[2] or "y"
        years = float(found[1]) / (12.0 if unit[0] == "m" else 52.18 if unit[0] == "w" else 1.0)
        if years <= OLDEST:
            return years
    raise MajorantError(
        f"{given!r} is no age; give years (7, 0.5), or months or weeks with their unit (18mo, 2wk)"
    )
