"""Estimates on heads of their own, carried to the template along the registration of FreeSurfer."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from majorant.errors import MajorantError
from majorant.forward.template import template_surfaces

__all__ = ["Morphs", "write_spheres"]

N_KEPT = 2562
"""Vertices of a hemisphere on the template: ico4, which estimates on the template have, too."""
SPHERES = ("lh.sphere.reg", "rh.sphere.reg")


class Morphs:
    """Carries estimates of subjects to the template; one map for all estimates of a subject.

    Parameters
    ----------
    subjects_dir : str or None
        FreeSurfer's subjects.
    """

    def __init__(self, subjects_dir: str | None) -> None:
        self.subjects_dir = subjects_dir
        self._made: dict[str, Any] = {}

    def __call__(self, stc: Any, subject: str) -> Any:
        """Return an estimate on 2,562 vertices of either hemisphere of fsaverage.

        Parameters
        ----------
        stc : mne.SourceEstimate
            On vertices of the subject.
        subject : str

        Raises
        ------
        MajorantError
            If the subject's registered spheres are not there, or do not fit the estimate.
        """
        import mne

        kept: Any = [np.arange(N_KEPT)] * 2
        if subject not in self._made:
            folder = self._folder(subject)
            with TemporaryDirectory() as place:
                (Path(place) / subject).symlink_to(folder.absolute(), target_is_directory=True)
                write_spheres(Path(place) / "fsaverage" / "surf")
                try:
                    self._made[subject] = mne.compute_source_morph(
                        stc,
                        subject,
                        "fsaverage",
                        place,
                        spacing=kept,
                        warn=False,
                        verbose="error",
                    )
                except (ValueError, RuntimeError, OSError) as error:
                    raise MajorantError(
                        f"the estimates of {subject} cannot be carried to fsaverage "
                        f"({' '.join(str(error).split())[:200]}); check that {folder} is the "
                        "subject that they were made on"
                    ) from error
        return self._made[subject].apply(stc)

    def _folder(self, subject: str) -> Path:
        how = (
            "give --subjects-dir with FreeSurfer's folder of the subjects, or image the data set "
            "on the template"
        )
        if self.subjects_dir is None:
            raise MajorantError(
                f"the estimates of {subject} are on that subject's own cortex, and no folder of "
                f"subjects is known to carry them to the template; {how}"
            )
        folder = Path(self.subjects_dir).expanduser() / subject
        missing = [name for name in SPHERES if not (folder / "surf" / name).is_file()]
        if missing:
            raise MajorantError(
                f"the estimates of {subject} are on that subject's own cortex, and {folder}/surf "
                f"holds no {missing[0]}, which registers it to the template; {how}"
            )
        return folder


def write_spheres(folder: Path) -> None:
    """Write the spheres of the template, to which FreeSurfer registers every subject's."""
    import mne

    folder.mkdir(parents=True)
    surfaces = template_surfaces()
    for side, name in enumerate(SPHERES):
        mne.write_surface(
            folder / name, 1e3 * surfaces.sphere[side], surfaces.faces[side], verbose="error"
        )
