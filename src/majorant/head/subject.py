"""The head of a FreeSurfer subject: source space, shells and coregistration, all by MNE.

Shells come from ``SUBJECT/bem``: a boundary-element solution where there is one, else the three
surfaces of `mne.bem.make_watershed_bem`. The transformation from head to MRI coordinates is read
from a file, found in ``bem``, or fitted: fiducials first, then all electrodes to the scalp. What
was computed is kept in the cache folder, under a key of everything that it was made from.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from majorant.account import Account, listening
from majorant.files.cache import Cache, Content
from majorant.forward.template import CONDUCTIVITY
from majorant.head.coregistration import Coregistration, check_scalp
from majorant.problem import MajorantError
from majorant.recording.file import UNREADABLE

__all__ = ["subject_forward"]

VERSION = 1
SURFACES = ("white", "sphere")
SHELLS = ("inner_skull", "outer_skull", "outer_skin")
Progress = Callable[[str], None] | None


def subject_forward(
    info: Any,
    subject: str,
    subjects_dir: str | None,
    trans: str | None,
    spacing: str,
    progress: Progress = None,
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

    Raises
    ------
    MajorantError
        If the subject is not there or lacks something; the sentence says what.
    """
    import mne

    say = progress or (lambda text: None)
    patches: Any = "patch"
    folder, root = _folder(subject, subjects_dir)
    head_to_mri, by = _transformation(info, subject, folder, root, trans)
    scalp = _scalp(folder, subject)
    found = check_scalp(
        info, head_to_mri["trans"], scalp["rr"], np.asarray(scalp["tris"]), subject, by
    )

    def build() -> Content:
        with listening(Account(), "building the head"):
            say(f"Placing sources on the cortex of {subject}")
            src = mne.setup_source_space(
                subject, spacing, subjects_dir=root, add_dist=patches, verbose="error"
            )
            say(f"Solving for the potentials of {subject} (once)")
            solution = _solution(folder, subject, root)
            forward = mne.make_forward_solution(
                info, head_to_mri, src, solution, meg=False, eeg=True, mindist=0.0,
                verbose="error",
            )  # fmt: skip
        return {"forward": _as_bytes(forward)}, {}

    try:
        key = [version("mne"), spacing, _sources(folder), _placed(info), _rounded(head_to_mri)]
        kept, _ = Cache(progress).get("subject", VERSION, key, build)
        forward = _from_bytes(kept["forward"])
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:250].rstrip(".")
        raise MajorantError(
            f"no forward solution can be made for {subject}: {reason}; complete the subject with "
            "recon-all and mne.bem.make_watershed_bem, or give a forward of your own"
        ) from error
    return forward, found


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
    shells = [*(folder / "bem" / f"{name}.surf" for name in SHELLS)]
    solved = sorted((folder / "bem").glob("*-bem-sol.fif"))
    return [
        [path.name, hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in [*surfaces, *shells, *solved]
        if path.is_file()
    ]


def _placed(info: Any) -> list[list[Any]]:
    """Names and places of the electrodes."""
    return [
        [channel["ch_name"], np.round(1e6 * np.asarray(channel["loc"][:6], float)).tolist()]
        for channel in info["chs"]
    ]


def _rounded(transform: Any) -> list[list[float]]:
    return np.round(np.asarray(transform["trans"], float), 8).tolist()


def _folder(subject: str, subjects_dir: str | None) -> tuple[Path, str]:
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


def _transformation(
    info: Any, subject: str, folder: Path, root: str, trans: str | None
) -> tuple[Any, str]:
    """From head to MRI coordinates, and where it came from."""
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
            return mne.transforms._ensure_trans(found, "head", "mri"), path.name
        except UNREADABLE as error:
            raise MajorantError(
                f"{path} cannot be read as a transformation between head and MRI; give what "
                "mne.gui.coregistration wrote"
            ) from error
    try:
        with listening(Account(), "coregistering"):
            fitted = mne.coreg.Coregistration(info, subject, root, fiducials="auto")
            fitted.fit_fiducials(verbose="error")
            fitted.fit_icp(n_iterations=20, verbose="error")
            return fitted.trans, "fiducials and scalp"
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise MajorantError(
            f"electrodes and head of {subject} cannot be brought together: {reason}; give trans, "
            "as mne.gui.coregistration writes it"
        ) from error


def _scalp(folder: Path, subject: str) -> Any:
    """The scalp of a subject, MRI coordinates in metres."""
    import mne

    dense = folder / "bem" / f"{subject}-head.fif"
    plain = folder / "bem" / "outer_skin.surf"
    try:
        if plain.is_file():
            places, faces, *_ = mne.read_surface(plain)
            return {"rr": np.asarray(places) / 1e3, "tris": faces}
        if dense.is_file():
            return mne.read_bem_surfaces(dense, verbose="error")[0]
    except UNREADABLE as error:
        raise MajorantError(
            f"the scalp of {subject} cannot be read; make it again with mne.bem.make_watershed_bem"
        ) from error
    raise MajorantError(
        f"{subject} has no scalp in {folder / 'bem'} (outer_skin.surf or {dense.name}); make one "
        "with mne.bem.make_watershed_bem"
    )


def _solution(folder: Path, subject: str, root: str) -> Any:
    """A boundary-element solution of three shells: read, or made."""
    import mne

    for path in sorted((folder / "bem").glob("*-bem-sol.fif")):
        solution = mne.read_bem_solution(path, verbose="error")
        if len(solution["surfs"]) == 3:
            return solution
    lacking = [name for name in SHELLS if not (folder / "bem" / f"{name}.surf").is_file()]
    if lacking:
        raise MajorantError(
            f"{subject} has no {', '.join(lacking)} in {folder / 'bem'}, and EEG needs three "
            "shells; make them with mne.bem.make_watershed_bem"
        )
    faces = len(mne.read_surface(folder / "bem" / "inner_skull.surf")[1])
    ico: Any = 3 if faces > 1280 else None
    model = mne.make_bem_model(
        subject, ico=ico, conductivity=CONDUCTIVITY, subjects_dir=root, verbose="error"
    )
    return mne.make_bem_solution(model, verbose="error")
