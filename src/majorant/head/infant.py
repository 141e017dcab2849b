"""Templates of infants, which MNE-Python fetches: subjects of FreeSurfer from two weeks on.

References
----------
O'Reilly, Larson, Richards and Elsabbagh, "Structural templates for imaging EEG cortical sources in
infants", NeuroImage 227:117682, 2021; Richards, Sanchez, Phillips-Meek and Xie, "A database of
age-appropriate average MRI templates", NeuroImage 124:1254, 2016.
"""

from __future__ import annotations

from pathlib import Path

from majorant.problem import MajorantError

__all__ = ["fetch_infant", "infant_name"]

AGES = {
    "2wk": 0.04, "1mo": 1 / 12, "2mo": 2 / 12, "3mo": 0.25, "4.5mo": 0.375, "6mo": 0.5,
    "7.5mo": 0.625, "9mo": 0.75, "10.5mo": 0.875, "12mo": 1.0, "15mo": 1.25, "18mo": 1.5,
    "2yr": 2.0,
}  # fmt: skip
"""Names of MNE's templates, and their ages in years."""
OLDEST = 2.5


def infant_name(age: float) -> str | None:
    """MNE's name of the template nearest to an age (years); None above two and a half years."""
    return None if age > OLDEST else min(AGES, key=lambda name: abs(AGES[name] - age))


def fetch_infant(age: float, subjects_dir: Path | None) -> str:
    """Fetch the template of an age into a folder of subjects, unless it is there.

    Parameters
    ----------
    age : float
        Years, at most two and a half.
    subjects_dir : Path or None
        None is MNE's own folder of subjects.

    Returns
    -------
    str
        The subject.

    Raises
    ------
    MajorantError
        If there is no such template, no folder, or it cannot be fetched.
    """
    import mne

    name = infant_name(age)
    if name is None:
        raise MajorantError(
            f"templates of infants end at two years, and {age:g} was asked for; give --age to "
            "image, which takes an adult's head with the size and the skull of the age"
        )
    where = subjects_dir or mne.get_config("SUBJECTS_DIR")
    if where is None:
        raise MajorantError("there is no folder for the template; give --subjects-dir")
    folder = Path(str(where)).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return str(mne.datasets.fetch_infant_template(name, str(folder), verbose="error"))
    except (OSError, RuntimeError, ValueError) as error:
        raise MajorantError(
            f"the template of {name} cannot be fetched ({type(error).__name__}); without a network "
            "give --age to image instead, which takes an adult's head with the size and the skull "
            "of the age"
        ) from error
