"""The head of a FreeSurfer subject: source space, shells and coregistration, all by MNE.

Shells come from ``SUBJECT/bem``: a boundary-element solution where there is one, else three
surfaces (`majorant.head.shells`). The transformation from head to MRI coordinates is read from a
file, found in ``bem``, or fitted: fiducials first, then all electrodes to the scalp. What
was computed is kept in the cache folder, under a key of everything that it was made from.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from majorant.account import Account, listening
from majorant.files.cache import Cache, Content
from majorant.head.coregistration import Coregistration, check_scalp
from majorant.head.shells import SubjectShells, carried_fiducials, find_shells, solve_subject
from majorant.problem import MajorantError
from majorant.recording.file import UNREADABLE

__all__ = [
    "Transformation",
    "find_transformation",
    "solved_before",
    "subject_conductor",
    "subject_folder",
    "subject_forward",
]

VERSION = 2
SURFACES = ("white", "sphere")
Progress = Callable[[str], None] | None


@dataclass(frozen=True, eq=False)
class Transformation:
    """From head to MRI coordinates.

    Attributes
    ----------
    trans : mne.transforms.Transform
    by : str
        Where it came from.
    fiducials : ndarray or None, shape (3, 3)
        Of the MRI, as they were found or guessed: left preauricular point, nasion, right one;
        metres. Only where the transformation was fitted.
    """

    trans: Any
    by: str
    fiducials: np.ndarray | None = None

    @property
    def matrix(self) -> np.ndarray:
        """Shape (4, 4)."""
        return np.asarray(self.trans["trans"], dtype=np.float64)


def subject_forward(
    info: Any,
    subject: str,
    subjects_dir: str | None,
    trans: str | None,
    spacing: str,
    progress: Progress = None,
    *,
    skull: float | None = None,
) -> tuple[Any, Coregistration]:
    """Compute the forward solution of a recording on a subject's head.

    Parameters
    ----------
    info : mne.Info
        EEG channels with positions.
    subject : str
    subjects_dir : str or None
        Where subjects are.
    trans : str or None
        File of the transformation; None finds or fits it.
    spacing : str
        Vertices, as for `mne.setup_source_space`: "ico4", "oct6", ...
    progress : callable, optional
        Called with a line of text for every step that takes time.
    skull : float, optional
        Conductivity, S/m; of a solution that the folder has, it is as it is.

    Raises
    ------
    MajorantError
        If the subject is not there or lacks something; the sentence says what.
    """
    import mne

    say = progress or (lambda text: None)
    patches: Any = "patch"
    folder, root = subject_folder(subject, subjects_dir)
    shells = find_shells(folder, subject, root, progress)
    moved = find_transformation(info, subject, folder, root, trans, shells)
    found = check_scalp(info, moved.matrix, *shells.surfaces[2], subject, moved.by)
    found = replace(found, shells=shells.sentence if shells.derived else None)

    def build() -> Content:
        with listening(Account(), "building the head"):
            say(f"Placing sources on the cortex of {subject}")
            src = mne.setup_source_space(
                subject, spacing, subjects_dir=root, add_dist=patches, verbose="error"
            )
            say(f"Solving for the potentials of {subject} (once)")
            solution = _solution(folder, shells, skull)
            forward = mne.make_forward_solution(
                info, moved.trans, src, solution, meg=False, eeg=True, mindist=0.0,
                verbose="error",
            )  # fmt: skip
        return {"forward": _as_bytes(forward)}, {}

    try:
        key = [version("mne"), spacing, _sources(folder), _placed(info), _rounded(moved.trans)]
        key += [skull, _digest(shells)]
        kept, _ = Cache(progress).get("subject", VERSION, key, build)
        forward = _from_bytes(kept["forward"])
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:250].rstrip(".")
        raise MajorantError(
            f"no forward solution can be made for {subject}: {reason}; complete the subject with "
            "recon-all and mne.bem.make_watershed_bem, or give a forward of your own"
        ) from error
    return forward, found


def subject_conductor(subject: str, subjects_dir: str | None, skull: float | None = None) -> Any:
    """The boundary-element solution of a subject's shells: read, or solved for.

    Parameters
    ----------
    subject : str
    subjects_dir : str or None
    skull : float, optional
        Conductivity, S/m; of a solution that the folder has, it is as it is.

    Returns
    -------
    mne.bem.ConductorModel

    Raises
    ------
    MajorantError
        If the subject is not there or lacks something.
    """
    import mne

    known: Any = mne.get_config("SUBJECTS_DIR")
    folder, root = subject_folder(subject, subjects_dir or known)
    return _solution(folder, find_shells(folder, subject, root, None), skull)


def _as_bytes(forward: Any) -> Tensor:
    """A forward solution as MNE writes it."""
    import mne

    with tempfile.TemporaryDirectory(prefix="majorant-") as root:
        path = Path(root) / "subject-fwd.fif"
        mne.write_forward_solution(path, forward, verbose="error")
        return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def _from_bytes(content: Tensor) -> Any:
    import mne

    with tempfile.TemporaryDirectory(prefix="majorant-") as root:
        path = Path(root) / "subject-fwd.fif"
        path.write_bytes(content.numpy().tobytes())
        return mne.read_forward_solution(path, verbose="error")


def _sources(folder: Path) -> list[list[str]]:
    """Every file of a subject that its forward is made from, with the sha256 of each."""
    surfaces = [folder / "surf" / f"{side}.{kind}" for side in ("lh", "rh") for kind in SURFACES]
    solved = sorted((folder / "bem").glob("*-bem-sol.fif"))
    return [
        [path.name, hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in [*surfaces, *solved]
        if path.is_file()
    ]


def _digest(shells: SubjectShells) -> str:
    digest = hashlib.sha256()
    for vertices, faces in shells.surfaces:
        digest.update(vertices.astype("<f4").tobytes() + faces.astype("<i4").tobytes())
    return digest.hexdigest()


def _placed(info: Any) -> list[list[Any]]:
    """Names and places of the electrodes."""
    return [
        [channel["ch_name"], np.round(1e6 * np.asarray(channel["loc"][:6], float)).tolist()]
        for channel in info["chs"]
    ]


def _rounded(transform: Any) -> list[list[float]]:
    return np.round(np.asarray(transform["trans"], float), 8).tolist()


def subject_folder(subject: str, subjects_dir: str | None) -> tuple[Path, str]:
    """Return the folder of a subject, and that of all subjects.

    Raises
    ------
    MajorantError
        If it is not there.
    """
    if subjects_dir is None:
        raise MajorantError(
            f"the folder of the subject {subject!r} is not known; give subjects_dir, or set "
            "SUBJECTS_DIR"
        )
    root = Path(subjects_dir).expanduser()
    if not (root / subject / "surf").is_dir():
        there = sorted(path.parent.name for path in root.glob("*/surf"))[:8]
        raise MajorantError(
            f"there is no FreeSurfer subject {subject!r} in {subjects_dir} (found: "
            f"{', '.join(there) or 'none'}); check the name and the folder"
        )
    return root / subject, str(root)


def find_transformation(
    info: Any, subject: str, folder: Path, root: str, trans: str | None, shells: SubjectShells
) -> Transformation:
    """Read or fit the transformation from head to MRI coordinates.

    Parameters
    ----------
    info : mne.Info
    subject : str
    folder : Path
        Of the subject.
    root : str
        Of all subjects.
    trans : str or None
        A file; else one in ``bem``, else fiducials first, then electrodes to the scalp.
    shells : SubjectShells
        Whose scalp is taken where the folder has none.

    Raises
    ------
    MajorantError
        If a file cannot be read, or nothing can be fitted.
    """
    import mne

    path = None if trans is None else Path(trans).expanduser()
    beside = folder / "bem" / f"{subject}-trans.fif"
    if path is None and beside.is_file():
        path = beside
    if path is not None:
        if not path.is_file():
            raise MajorantError(f"there is no transformation {path}; check the path")
        try:
            found: Any = mne.read_trans(path)
            if found["from"] != 4:
                found = mne.transforms.invert_transform(found)
            return Transformation(mne.transforms._ensure_trans(found, "head", "mri"), path.name)
        except UNREADABLE as error:
            raise MajorantError(
                f"{path} cannot be read as a transformation between head and MRI; give what "
                "mne.gui.coregistration wrote"
            ) from error
    try:
        with listening(Account(), "coregistering"):
            marks: Any = _fiducials(folder, subject, root)
            with _scalp_in(folder, subject, root, shells) as place:
                fitted = mne.coreg.Coregistration(info, subject, place, fiducials=marks)
                fitted.fit_fiducials(verbose="error")
                fitted.fit_icp(n_iterations=20, verbose="error")
            points = np.stack([marks[key] for key in ("lpa", "nasion", "rpa")])
            return Transformation(fitted.trans, "fiducials and scalp", points)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise MajorantError(
            f"electrodes and head of {subject} cannot be brought together: {reason}; give trans, "
            "as mne.gui.coregistration writes it"
        ) from error


@contextmanager
def _scalp_in(folder: Path, subject: str, root: str, shells: SubjectShells) -> Iterator[str]:
    """A folder of subjects where MNE finds the scalp of this one."""
    import mne

    heads = (f"{subject}-head.fif", f"{subject}-head-dense.fif", "outer_skin.surf")
    if any((folder / "bem" / name).is_file() for name in heads):
        yield root
        return
    with tempfile.TemporaryDirectory(prefix="majorant-") as place:
        bem = Path(place) / subject / "bem"
        bem.mkdir(parents=True)
        vertices, faces = shells.surfaces[2]
        mne.write_surface(bem / "outer_skin.surf", 1e3 * vertices, faces, verbose="error")
        yield place


def _fiducials(folder: Path, subject: str, root: str) -> dict[str, np.ndarray]:
    """Fiducials of the MRI: of a file, else by the Talairach transformation, else by the cortex."""
    import mne

    names = {1: "lpa", 2: "nasion", 3: "rpa"}
    path = folder / "bem" / f"{subject}-fiducials.fif"
    if path.is_file():
        points: Any = mne.io.read_fiducials(path, verbose="error")[0]
    elif (folder / "mri" / "transforms" / "talairach.xfm").is_file():
        points = mne.coreg.get_mni_fiducials(subject, root, verbose="error")
    else:
        places = carried_fiducials(folder, subject)
        return dict(zip(("lpa", "nasion", "rpa"), places, strict=True))
    return {names[int(p["ident"])]: np.asarray(p["r"], dtype=np.float64) for p in points}


def solved_before(folder: Path) -> Path | None:
    """A boundary-element solution of three shells that the folder has."""
    import mne

    for path in sorted((folder / "bem").glob("*-bem-sol.fif")):
        if len(mne.read_bem_surfaces(path, verbose="error")) == 3:
            return path
    return None


def _solution(folder: Path, shells: SubjectShells, skull: float | None) -> Any:
    """A boundary-element solution of three shells: read, or made."""
    import mne

    path = solved_before(folder)
    if path is not None:
        return mne.read_bem_solution(path, verbose="error")
    return solve_subject(shells, skull)
