"""The equivalent dipole beside the map: one current, fitted by MNE in the head of the estimate.

A map says where currents may be, one dipole where a single one would have to be. Where there is one
small source, the two agree; where they do not, one of the models is wrong for the data, and that is
worth knowing before either is believed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.errors import MajorantError
from majorant.findings.facts import EquivalentDipole, Peak
from majorant.forward.cortex import mni305_to_mni152
from majorant.head.places import Places
from majorant.head.subject import subject_conductor
from majorant.head.template import child_of
from majorant.imager.imager import SourceImager

__all__ = ["APART_MM", "POOR", "dipole_cautions", "fit_dipole", "why_no_dipole"]

APART_MM, POOR = 20.0, 0.8
"""Distance to the nearest peak (mm) and goodness of fit at which the two models part ways: on
everyday data the map itself errs by 9 mm on average, and one source explains most of an average."""


def why_no_dipole(imager: SourceImager) -> str | None:
    """Why no dipole can be fitted with an imager's head; None where one can."""
    if imager.alignment_ is not None or imager.subject is not None:
        return None
    return (
        "a lead field that was imported says what dipoles at its own places look like, and not "
        "what its head conducts, so no dipole can be moved in it; take the template or --subject"
    )


def fit_dipole(
    imager: SourceImager, evoked: Any, time: float, peaks: tuple[Peak, ...], places: Places
) -> EquivalentDipole:
    """Fit one dipole to an average at one time (`mne.fit_dipole`), in the imager's own head.

    The conductor is that of the lead field: the template's three shells (also where the template
    was warped to the person: electrodes then lie at the same places of the template), or the
    subject's. The noise is the imager's, of the average.

    Parameters
    ----------
    imager : SourceImager
        Fitted, on the template or a subject.
    evoked : mne.Evoked
        With the imager's channels.
    time : float
        s.
    peaks : tuple of Peak
        Of the estimate; the nearest of those within 10 ms is named.
    places : Places
        Of the estimate's locations.

    Raises
    ------
    MajorantError
        If the head's conductor is not known, or MNE finds no dipole.
    """
    import mne

    reason = why_no_dipole(imager)
    if reason is not None:
        raise MajorantError(f"no dipole was fitted: {reason}")
    info, conductor, trans = _conductor(imager)
    names = list(imager.info_["ch_names"])
    sample = int(np.abs(evoked.times - time).argmin())
    data = evoked.data[[evoked.ch_names.index(name) for name in names]][:, [sample]]
    nave = max(int(evoked.nave), 1)
    one = mne.EvokedArray(data, info, tmin=float(evoked.times[sample]), nave=nave, verbose="error")
    one.set_eeg_reference("average", projection=True, verbose="error")
    cov = imager.noise_cov_.copy()
    cov["data"] = np.asarray(cov["data"]) / nave
    cov["projs"] = one.info["projs"]
    try:
        with listening(Account(), "fitting a dipole"):
            found: Any = mne.fit_dipole(one, cov, conductor, trans, verbose="error")[0]
    except (ValueError, RuntimeError, np.linalg.LinAlgError) as error:
        raise MajorantError(
            f"no dipole was fitted at {time:g} s: {' '.join(str(error).split())[:200]}"
        ) from error
    return _facts(found, trans, imager, peaks, places)


def _conductor(imager: SourceImager) -> tuple[Any, Any, Any]:
    """Electrodes, boundary-element solution, and transform from head to MRI coordinates."""
    import mne

    info, alignment = imager.info_.copy(), imager.alignment_
    if alignment is None:
        assert imager.subject is not None
        trans = imager.forward_["mri_head_t"]
        return info, subject_conductor(imager.subject, imager.subjects_dir, imager.skull), trans
    from majorant.forward.template import CONDUCTIVITY, template_head

    child = child_of(imager.age)
    skull = imager.skull or (CONDUCTIVITY[1] if child is None else child.skull)
    thickness = 1.0 if child is None else child.share / (alignment.size or 1.0)
    head = template_head((CONDUCTIVITY[0], skull, CONDUCTIVITY[2]), thickness=thickness)
    with tempfile.TemporaryDirectory(prefix="majorant-") as root:
        path = Path(root) / "template-bem-sol.fif"
        path.write_bytes(head.solution)
        conductor = mne.read_bem_solution(path, verbose="error")
    places = dict(zip(alignment.ch_names, alignment.positions, strict=True))
    montage = mne.channels.make_dig_montage(
        {name: places[name] for name in info["ch_names"]}, coord_frame="head"
    )
    info = mne.create_info(list(info["ch_names"]), info["sfreq"], "eeg", verbose="error")
    info.set_montage(montage)
    # The template's axes stand for those of the head: electrodes are given in them.
    return info, conductor, mne.transforms.Transform("head", "mri")


def _facts(
    found: Any, trans: Any, imager: SourceImager, peaks: tuple[Peak, ...], places: Places
) -> EquivalentDipole:
    """Position and direction in MNI space, and how far the nearest peak is."""
    import mne

    to_mri = mne.transforms._ensure_trans(trans, "head", "mri")["trans"]
    position = to_mri[:3, :3] @ found.pos[0] + to_mri[:3, 3]
    direction = to_mri[:3, :3] @ found.ori[0]
    time, own = float(found.times[0]), imager.leadfield_.positions.numpy()
    apart = np.linalg.norm(own - position, axis=1)
    nearest = int(apart.argmin())
    exact = imager.leadfield_.subject == "fsaverage"
    # On other heads the nearest place of the cortex says where that is in MNI space.
    mni = mni305_to_mni152(position) if exact else places.mni[nearest]
    then = [(k, peak) for k, peak in enumerate(peaks, 1) if abs(peak.time - time) <= 0.010]
    rank, distance = _nearest(then, own, position)
    size = 1.0 if imager.alignment_ is None else imager.alignment_.size or 1.0
    volume = found.conf.get("vol")
    return EquivalentDipole(
        time=time,
        mni=(float(mni[0]), float(mni[1]), float(mni[2])),
        location=nearest,
        hemisphere="left" if places.hemisphere[nearest] == 0 else "right",
        direction=(float(direction[0]), float(direction[1]), float(direction[2])),
        moment=float(found.amplitude[0]) * size**2,
        explained=float(found.gof[0]) / 100,
        volume_cm3=None if volume is None else 1e6 * float(volume[0]),
        peak=rank,
        apart_mm=distance,
    )


def _nearest(
    peaks: list[tuple[int, Peak]], own: NDArray[np.float64], position: NDArray[np.float64]
) -> tuple[int | None, float | None]:
    """Rank of the nearest peak, and its distance in mm, in the head itself."""
    away = [
        (1e3 * float(np.linalg.norm(own[peak.location] - position)), rank) for rank, peak in peaks
    ]
    if not away:
        return None, None
    distance, rank = min(away)
    return rank, distance


def dipole_cautions(dipole: EquivalentDipole) -> tuple[str, ...]:
    """What the dipole says against the map, or the map against the dipole."""
    said = []
    if dipole.explained < POOR:
        said.append(
            f"One dipole explains {100 * dipole.explained:.0f} % of what was recorded at its time: "
            "there is more than one source, or a wide one, and the dipole lies between them."
        )
    if dipole.apart_mm is not None and dipole.apart_mm > APART_MM:
        said.append(
            f"The single dipole that fits best lies {dipole.apart_mm:.0f} mm from the nearest peak "
            f"of the map at that time; {APART_MM:.0f} mm are to be expected at most where there is "
            "one small source, so map or dipole is wrong about this one."
        )
    return tuple(said)
