"""Recordings with the properties that real ones have, each with a source planted in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import mne
import numpy as np
from mne.io.constants import FIFF

from majorant import SourceImager

N10 = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2"
MORE = "FC5 FC1 FC2 FC6 TP9 CP5 CP1 CP2 CP6 TP10 PO9 Oz PO10"
CLINIC = N10.split()
NAMES = [*CLINIC, *MORE.split()]
CHAIN = "Fp1-F7 F7-T7 T7-P7 P7-O1 Fp1-F3 F3-C3 C3-P3 P3-O1 Fp2-F8 F8-T8 T8-P8 P8-O2"
CHAINS = [*CHAIN.split(), *["Fp2-F4", "F4-C4", "C4-P4", "P4-O2", "Fz-Cz", "Cz-Pz"]]
SPACE, SFREQ = "oct4", 200.0
NEAR = (-50.0, -25.0, 10.0)


def info_of(names: list[str], montage: str | None = "standard_1005") -> Any:
    info = mne.create_info(list(names), SFREQ, "eeg", verbose="error")
    return info if montage is None else info.set_montage(montage, verbose="error")


@cache
def seen(names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Potentials of every location along its normal, V/(A m), and its place, MNI mm."""
    from majorant.head.places import locate

    imager = SourceImager("mne", space=SPACE, loose=0).fit(info_of(list(names)))
    return imager.leadfield_.gain.numpy(), np.asarray(locate(imager.leadfield_).mni)


def topography(names: list[str], near: tuple[float, float, float], peak: float) -> np.ndarray:
    """Potentials, average reference, V, of the source nearest to a place."""
    gain, places = seen(tuple(names))
    column = gain[:, np.linalg.norm(places - np.array(near), axis=1).argmin()]
    column = column - column.mean()
    return peak * column / np.abs(column).max()


def planted(
    names: list[str] = NAMES, near: tuple[float, float, float] = NEAR, noise: float = 2e-6
) -> Any:
    """Thirty trials a second apart; the source peaks 100 ms after each event."""
    times = np.arange(int(32 * SFREQ)) / SFREQ
    onsets = 1.0 + np.arange(30)
    course = np.exp(-(((times[:, None] - onsets - 0.1) / 0.02) ** 2)).sum(axis=1)
    data = noise * np.random.default_rng(0).standard_normal((len(names), len(times)))
    data += topography(names, near, 15e-6)[:, None] * course
    raw = mne.io.RawArray(data, info_of(names), verbose="error")
    return raw.set_annotations(mne.Annotations(onsets, 0, "stim"))


def with_data(raw: Any, data: np.ndarray, names: list[str], montage: str | None = None) -> Any:
    new = mne.io.RawArray(data, info_of(names, montage), verbose="error")
    return new.set_annotations(raw.annotations)


def places_of(raw: Any) -> dict[str, np.ndarray]:
    return {c["ch_name"]: c["loc"][:3].copy() for c in raw.info["chs"] if c["kind"] == 2}


def placed(raw: Any, places: dict[str, np.ndarray], frame: str = "unknown") -> Any:
    montage = mne.channels.make_dig_montage(places, coord_frame=frame)
    return raw.copy().set_montage(montage, verbose="error")


def trials(raw: Any) -> Any:
    # BrainVision's events have their type before them.
    names = {name for name in raw.annotations.description if name.endswith("stim")}
    events, _ = mne.events_from_annotations(raw, dict.fromkeys(names, 1), verbose="error")
    return mne.Epochs(
        raw, events, 1, -0.2, 0.5, baseline=(None, 0), preload=True, verbose="error"
    )  # fmt: skip


def cleaned(raw: Any) -> Any:
    """Without five components, as after ICA."""
    spots = ((20, 60, -10), (-60, -50, -10), (60, 0, -20), (0, -20, 70), (-20, 60, 20))
    maps = np.array([topography(raw.ch_names, spot, 1.0) for spot in spots]).T
    raw = raw.copy()
    raw._data = raw._data - maps @ (np.linalg.pinv(maps) @ raw._data)
    return raw


def mended(raw: Any, bads: str) -> Any:
    """With electrodes interpolated in the file."""
    raw = raw.copy()
    raw.info["bads"] = bads.split()
    return raw.interpolate_bads(reset_bads=True, verbose="error")


def marked(raw: Any, bads: str) -> Any:
    raw = raw.copy()
    raw.info["bads"] = bads.split()
    return raw


def against(raw: Any, name: str) -> Any:
    """Recorded against an electrode that is not in the file."""
    raw = raw.copy()
    raw._data = raw._data - raw._data[raw.ch_names.index(name)]
    return raw.drop_channels([name])


def projected(raw: Any, *, active: bool) -> Any:
    """With an average-reference projector that was made while CP5 was bad."""
    raw = marked(against(raw, "TP9"), "CP5")
    raw.set_eeg_reference("average", projection=True, verbose="error")
    raw.info["bads"] = []
    return raw.apply_proj(verbose="error") if active else raw


def with_ssp(raw: Any, *, active: bool) -> Any:
    vector = topography(raw.ch_names, (20, 60, -10), 1.0)
    vector /= np.linalg.norm(vector)
    data: dict[str, Any] = {"nrow": 1, "ncol": len(vector), "row_names": None}
    data.update(col_names=raw.ch_names, data=vector[None])
    projector = mne.Projection(
        active=False, kind=FIFF.FIFFV_PROJ_ITEM_FIELD, desc="EOG-eeg--PCA-01", data=data
    )
    raw = raw.copy().add_proj(projector, verbose="error")
    return raw.apply_proj(verbose="error") if active else raw


def to_ears(raw: Any, ear: Callable[[str], str]) -> Any:
    """Each electrode against an ear, named as clinics name them."""
    d = dict(zip(raw.ch_names, raw._data, strict=True))
    rows = {"A1": d["TP9"], "A2": d["TP10"], "LE": (d["TP9"] + d["TP10"]) / 2}
    data = np.array([d[n] - rows[ear(n)] for n in CLINIC])
    return with_data(raw, data, [f"EEG {n}-{ear(n)}" for n in CLINIC])


def own_side(name: str) -> str:
    return "A2" if name[-1] in "2468" else "A1"


def bipolar(raw: Any) -> Any:
    ends = [pair.split("-") for pair in CHAINS]
    return mne.set_bipolar_reference(
        raw, [a for a, _ in ends], [b for _, b in ends], copy=True, verbose="error"
    )


def scaled(raw: Any, factor: float, rows: Any = slice(None)) -> Any:
    raw = raw.copy()
    raw._data[rows] *= factor
    return raw


def renamed(raw: Any, change: Callable[[str], str]) -> Any:
    return raw.copy().rename_channels({n: change(n) for n in raw.ch_names}, verbose="error")


def sphere(raw: Any) -> dict[str, np.ndarray]:
    drawn = mne.channels.make_standard_montage("easycap-M1").get_positions()["ch_pos"]
    return {n: 0.095 * drawn[n] / np.linalg.norm(drawn[n]) for n in raw.ch_names}


def turned(raw: Any, turn: list[list[float]], shift: float = 0.0) -> dict[str, np.ndarray]:
    return {n: np.array(turn) @ p + [0, 0, shift] for n, p in places_of(raw).items()}


def in_other_order(places: dict[str, np.ndarray], order: list[str]) -> dict[str, np.ndarray]:
    return dict(zip(places, [places[n] for n in order], strict=True))


def exchanged(places: dict[str, np.ndarray], a: str, b: str) -> dict[str, np.ndarray]:
    return {**places, a: places[b], b: places[a]}


def with_eye(raw: Any) -> Any:
    """With an EOG channel that the file calls EEG."""
    eye = mne.io.RawArray(
        5e-5 * np.random.default_rng(1).standard_normal((1, len(raw.times))),
        mne.create_info(["HEOG"], SFREQ, "eeg"), verbose="error",
    )  # fmt: skip
    return raw.copy().add_channels([eye], force_update_info=True)


def with_meg(raw: Any) -> Any:
    meg = mne.io.RawArray(
        1e-12 * np.random.default_rng(1).standard_normal((2, len(raw.times))),
        mne.create_info(["MEG1", "MEG2"], SFREQ, "mag"), verbose="error",
    )  # fmt: skip
    return raw.copy().add_channels([meg], force_update_info=True)


# Writers


def fif(raw: Any, folder: Path, name: str = "some_raw.fif", **options: Any) -> Path:
    raw.save(folder / name, overwrite=True, verbose="error", **options)
    return folder / name


def brainvision(raw: Any, folder: Path, form: str = "binary_int16") -> Path:
    from pybv import write_brainvision

    onsets = np.round(raw.annotations.onset * SFREQ).astype(int)
    events = [
        {"onset": int(k), "duration": 1, "description": "stim", "type": "Comment"} for k in onsets
    ]
    write_brainvision(
        data=raw.get_data(), sfreq=SFREQ, ch_names=raw.ch_names, fname_base="some",
        folder_out=str(folder), events=events, unit="µV", fmt=form, overwrite=True,
    )  # fmt: skip
    return folder / "some.vhdr"


def edf(raw: Any, folder: Path, suffix: str = "edf") -> Path:
    import edfio

    kind, signal = (edfio.Edf, edfio.EdfSignal)
    if suffix == "bdf":
        kind, signal = (edfio.Bdf, edfio.BdfSignal)
    signals = [
        signal(1e6 * row, SFREQ, label=name, physical_dimension="uV")
        for name, row in zip(raw.ch_names, raw.get_data(), strict=True)
    ]
    notes = [edfio.EdfAnnotation(float(t), None, "stim") for t in raw.annotations.onset]
    kind(signals, annotations=notes).write(folder / f"some.{suffix}")
    return folder / f"some.{suffix}"


def eeglab(raw: Any, folder: Path, *, old: bool = False) -> Path:
    mne.export.export_raw(folder / "some.set", raw, fmt="eeglab", verbose="error")
    if old:
        from scipy.io import loadmat, savemat

        held = loadmat(folder / "some.set")
        fields = {k: v for k, v in held.items() if not k.startswith("__")}
        savemat(folder / "some.set", {"EEG": fields}, appendmat=False)
    return folder / "some.set"


def eeglab_trials(raw: Any, folder: Path) -> Path:
    # The annotations, which are the events once more, would be written as events of their own.
    epochs = trials(raw).set_annotations(None)
    mne.export.export_epochs(folder / "some.set", epochs, fmt="eeglab", verbose="error")
    return folder / "some.set"


def average(raw: Any, folder: Path, nave: int = 30) -> Path:
    evoked = trials(raw).average()
    evoked.nave = nave
    evoked.save(folder / "some-ave.fif", overwrite=True, verbose="error")
    return folder / "some-ave.fif"


def listed(places: dict[str, np.ndarray], folder: Path, suffix: str = "tsv") -> str:
    factor = 1 if suffix == "tsv" else 100
    lines = ["name\tx\ty\tz"] if suffix == "tsv" else []
    lines += ["{}\t{:.5f}\t{:.5f}\t{:.5f}".format(n, *(factor * p)) for n, p in places.items()]
    (folder / f"cap.{suffix}").write_text("\n".join(lines) + "\n")
    return str(folder / f"cap.{suffix}")


@dataclass(frozen=True)
class Written:
    """A recording on disk, what it takes to prepare it, and what is to come of it.

    `refused` is what the sentence says where there is no right answer; `moved` is how far the
    peak may lie from the control where electrodes are lost, mm.
    """

    path: Path
    settings: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None
    python: bool = True


STIM = {"event": "stim"}
X_TO_NOSE = [[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]
MIRRORED = [[-1.0, 0, 0], [0, 1, 0], [0, 0, 1]]
OBLIQUE = [[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1.0]]


def bare(raw: Any) -> Any:
    """The same data without electrode places."""
    return with_data(raw, raw._data, raw.ch_names)


def cases() -> dict[str, Callable[[Path], Written]]:
    """Every recording by name; made when called."""
    ears = [*CLINIC, "TP9", "TP10"]

    def of(make: Callable[[], Any], *, refused: str | None = None, **more: Any) -> Any:
        return lambda folder: Written(fif(make(), folder), {**STIM, **more}, refused)

    def cap(change: Callable[[Any], Any], suffix: str, refused: str | None = None) -> Any:
        def make(folder: Path) -> Written:
            raw = planted()
            settings = {**STIM, "montage": listed(change(raw), folder, suffix)}
            return Written(fif(bare(raw), folder), settings, refused)

        return make

    named = {**STIM, "montage": "standard_1005"}
    return {
        # Formats
        "fif": of(planted),
        "fif, gzipped": lambda f: Written(fif(planted(), f, "some_raw.fif.gz"), STIM),
        "fif, split": lambda f: Written(fif(planted(), f, split_size="2MB"), STIM),
        "fif, trials": lambda f: Written(
            _saved(trials(planted()), f / "some-epo.fif")
        ),
        "fif, an average": lambda f: Written(average(planted(), f)),
        "fif, an average of 400": lambda f: Written(average(planted(), f, 400)),
        "BrainVision": lambda f: Written(brainvision(planted(), f), named),
        "BrainVision, floats": lambda f: Written(
            brainvision(planted(), f, "binary_float32"), named
        ),
        "EDF": lambda f: Written(edf(planted(), f), named),
        "BDF": lambda f: Written(edf(planted(), f, "bdf"), named),
        "EEGLAB": lambda f: Written(eeglab(planted(), f), STIM),
        "EEGLAB, old": lambda f: Written(eeglab(planted(), f, old=True), STIM),
        "EEGLAB, trials": lambda f: Written(eeglab_trials(planted(), f)),
        # Rank
        "cleaned by ICA": of(lambda: cleaned(planted())),
        "cleaned by ICA, EDF": lambda f: Written(edf(cleaned(planted()), f), named),
        "cleaned by ICA, BrainVision": lambda f: Written(
            brainvision(cleaned(planted()), f), named
        ),
        "interpolated": of(lambda: mended(planted(), "T7 CP5 C3 FC5")),
        "interpolated and cleaned": of(lambda: mended(cleaned(planted()), "P8 P4 O2")),
        "interpolated, EDF": lambda f: Written(edf(mended(planted(), "P8 O2"), f), named),
        "interpolated, then referenced": of(
            lambda: mended(planted(), "P8 P4").set_eeg_reference("average", verbose="error")
        ),
        "--interpolate": of(lambda: marked(planted(), "P8 P4 O2"), interpolate=True),
        "bads": of(lambda: marked(planted(), "P8 P4 O2")),
        "SSP": of(lambda: with_ssp(planted(), active=False)),
        "SSP, applied": of(lambda: with_ssp(planted(), active=True)),
        # Reference
        "average reference": of(
            lambda: planted().set_eeg_reference("average", verbose="error")
        ),
        "mastoids": of(lambda: planted().set_eeg_reference(["TP9", "TP10"], verbose="error")),
        "against an electrode that is gone": of(lambda: against(planted(), "TP9")),
        "the reference, added": of(
            lambda: bare(against(planted(), "TP9")), reference="TP9", montage="standard_1005"
        ),
        "no such reference": of(planted, reference="Nope", refused="no electrode Nope"),
        "projector of some": of(lambda: projected(planted(), active=False)),
        "projector of some, applied": of(lambda: projected(planted(), active=True)),
        "one ear": lambda f: Written(
            edf(to_ears(planted(ears), lambda n: "A1"), f), named
        ),
        "linked ears": lambda f: Written(
            edf(to_ears(planted(ears), lambda n: "LE"), f), named
        ),
        "each its own ear": lambda f: Written(edf(to_ears(planted(ears), own_side), f), named),
        "bipolar": of(lambda: bipolar(planted(CLINIC)), refused="bipolar derivations"),
        "bipolar, by name": lambda f: Written(
            edf(bare(bipolar(planted(CLINIC))), f), named, "bipolar derivations"
        ),
        # Names and places
        "x to the nose": of(lambda: placed(planted(), turned(planted(), X_TO_NOSE))),
        "x to the nose, tsv": cap(lambda raw: turned(raw, X_TO_NOSE), "tsv"),
        "x to the nose, sfp": cap(lambda raw: turned(raw, X_TO_NOSE), "sfp"),
        "an oblique frame": of(lambda: placed(planted(), turned(planted(), OBLIQUE))),
        "another origin": of(
            lambda: placed(planted(), turned(planted(), np.eye(3).tolist(), 0.07), "head")
        ),
        "mirrored": of(
            lambda: placed(planted(), turned(planted(), MIRRORED)), refused="are mirrored"
        ),
        "mirrored, tsv": cap(lambda raw: turned(raw, MIRRORED), "tsv", "are mirrored"),
        "mirrored, few": of(
            lambda: placed(planted(CLINIC), turned(planted(CLINIC), MIRRORED)),
            refused="are mirrored",
        ),
        "another order": cap(
            lambda raw: in_other_order(places_of(raw), sorted(raw.ch_names)), "tsv",
            "contradict the names",
        ),
        "two exchanged": cap(lambda raw: exchanged(places_of(raw), "P8", "F7"), "tsv"),
        "on a sphere": of(lambda: placed(planted(), sphere(planted()), "head")),
        "on a sphere, one unknown": of(
            lambda: renamed(
                placed(planted(), sphere(planted()), "head"),
                lambda n: "CB1" if n == "PO9" else n,
            )
        ),
        "capitals": lambda f: Written(edf(renamed(planted(), str.upper), f), named),
        "dots": lambda f: Written(edf(renamed(planted(), lambda n: f"{n}."), f), named),
        "an eye channel among them": of(lambda: with_eye(planted())),
        "MEG beside it": of(lambda: with_meg(planted())),
        # Numbers
        "microvolts": of(lambda: scaled(planted(), 1e6), refused="another unit"),
        "microvolts, said": of(lambda: scaled(planted(), 1e6), scale=1e-6),
        "volts twice": of(lambda: scaled(planted(), 1e-6), refused="divided once too often"),
        "one in microvolts": of(lambda: scaled(planted(), 1e6, 3), refused="mix units"),
        "one in millivolts": of(lambda: scaled(planted(), 1e3, 3), refused="mix units"),
        "one dead": of(lambda: scaled(planted(), 0.0, 3), refused="flat in F3"),
    }  # fmt: skip


def _saved(inst: Any, path: Path) -> Path:
    inst.save(path, overwrite=True, verbose="error")
    return path
