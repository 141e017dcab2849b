"""Which electrodes are audited: a montage by name, a file of places, a recording, or a forward.

Of many electrodes a spread subset is chosen by farthest-point sampling: the first is the one
nearest the top of the head, every next one is the farthest from all before it. A shorter choice is
the beginning of a longer one, so that caps of different sizes are nested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.audit.caps import CAPS
from majorant.audit.settings import FEWEST, AuditSettings
from majorant.errors import MajorantError, nearest
from majorant.forward.electrodes import align, digitised_electrodes, montage_electrodes
from majorant.forward.shells import ShellHead
from majorant.recording.electrodes import settle
from majorant.recording.file import load_recording
from majorant.recording.montage import ALIASES, CUSTOM, DIGITISED, read_montage
from majorant.recording.settings import Preparation

__all__ = [
    "MOST",
    "SAME",
    "Cap",
    "Rung",
    "choose_cap",
    "extended",
    "forward_cap",
    "placed_apart",
    "spread",
]

SAME = 0.003
"""Metres: electrodes nearer than this to another are the same place by another name."""
MOST = 256
"""Electrodes of the largest cap that is tried for comparison."""
DENSE = "standard_1005"
EARS = ("A1", "A2")
"""Clips on the ear lobes, which are not on the scalp."""


@dataclass(frozen=True)
class Rung:
    """A cap that another is compared with.

    Attributes
    ----------
    n : int
        Electrodes.
    name : str
        As people call it; empty for places that lie far from each other.
    rows : tuple of int
        Its electrodes among those of the other.
    """

    n: int
    name: str
    rows: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Cap:
    """The electrodes, and those that could be added.

    Attributes
    ----------
    title : str
        Of the montage, the file or the recording.
    ch_names : tuple of str
        Electrodes in order of choice; the first `n` are the cap that is audited.
    positions : array, shape (n_all, 3)
        On the scalp, metres; fsaverage surface RAS, or the head frame of a forward.
    n : int
        Electrodes of the cap.
    n_offered : int
        Electrodes that the montage offers.
    ladder : tuple of Rung
        Caps that it is compared with; empty for half, twice and four times as many places, far
        from each other.
    """

    title: str
    ch_names: tuple[str, ...]
    positions: NDArray[np.float64]
    n: int
    n_offered: int
    ladder: tuple[Rung, ...] = ()

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the audited electrodes."""
        return self.ch_names[: self.n]

    def rows(self, n: int) -> list[int]:
        """Rows of a cap of another size: spread over this one if smaller, this one and more."""
        for rung in self.ladder:
            if rung.n == n != self.n:
                return list(rung.rows)
        if n >= self.n:
            return list(range(n))
        return spread(self.positions[: self.n], n)

    def sizes(self) -> tuple[int, ...]:
        """Sizes of the caps that this one is compared with: a half, twice, four times."""
        if self.ladder:
            return tuple(rung.n for rung in self.ladder)
        wanted = (self.n // 2, 2 * self.n, 4 * self.n)
        return tuple(k for k in wanted if FEWEST <= k <= len(self.ch_names))

    def called(self, n: int) -> str:
        """A cap of so many electrodes in words, with its name where it has one."""
        name = next((rung.name for rung in self.ladder if rung.n == n != self.n), "")
        return f"{n} electrodes ({name})" if name else f"{n} electrodes"


def spread(positions: NDArray[np.float64], n: int, first: Sequence[int] | None = None) -> list[int]:
    """Choose places far from each other.

    Parameters
    ----------
    positions : array, shape (n_places, 3)
    n : int
        How many, at most as many as there are.
    first : sequence of int, optional
        Places that are chosen already; by default the highest one. They come first.

    Returns
    -------
    list of int
        In order of choice.
    """
    chosen = [int(positions[:, 2].argmax())] if first is None else list(first)
    far = np.linalg.norm(positions[:, None] - positions[chosen][None], axis=2).min(axis=1)
    far[chosen] = -1.0
    while len(chosen) < n:
        best = int(far.argmax())
        chosen.append(best)
        far = np.minimum(far, np.linalg.norm(positions - positions[best], axis=1))
        far[chosen] = -1.0
    return chosen[:n]


def choose_cap(settings: AuditSettings, head: ShellHead, account: Account) -> Cap:
    """Find the electrodes on the template and choose among them.

    Parameters
    ----------
    settings : AuditSettings
    head : ShellHead
        The template.
    account : Account
        Takes what was decided.

    Raises
    ------
    MajorantError
        If there is no such montage or electrode, or there are too few.
    """
    assert settings.montage is not None
    title, names, places = _offered(settings.montage, head, account)
    kept, places = placed_apart(names, places)
    lost = [name for name in names if name not in kept]
    if lost:
        account.note(
            "Left out, for they are other names of places kept, or clips on the ears: "
            f"{', '.join(lost)}."
        )
    cap = _chosen(title, kept, places, settings)
    account.note(_says(cap, settings))
    wanted = min(4 * cap.n, max(2 * cap.n, 128), MOST)
    return extended(cap, head, wanted) if len(cap.ch_names) < wanted else cap


def forward_cap(forward: Any, settings: AuditSettings, account: Account) -> Cap:
    """Choose among the electrodes of a forward solution; none can be added to these."""
    places = {channel["ch_name"]: channel["loc"][:3] for channel in forward["info"]["chs"]}
    names = list(forward["sol"]["row_names"])
    positions = np.array([places[name] for name in names], float)
    assert settings.forward is not None
    cap = _chosen(Path(settings.forward).name, names, positions, settings)
    account.note(_says(cap, settings))
    return cap


def _says(cap: Cap, settings: AuditSettings) -> str:
    """Say which electrodes are audited."""
    if settings.channels or cap.n == cap.n_offered:
        return f"{cap.n} electrodes of {cap.title}: {', '.join(cap.chosen)}."
    return (
        f"{cap.n} of the {cap.n_offered} electrodes of {cap.title}, chosen to lie far from each "
        f"other: {', '.join(cap.chosen)}."
    )


def _chosen(
    title: str, names: list[str], places: NDArray[np.float64], settings: AuditSettings
) -> Cap:
    n_offered = len(names)
    if settings.channels:
        first = _named(title, names, settings.channels)
    else:
        n = n_offered if settings.electrodes is None else settings.electrodes
        if n > n_offered:
            raise MajorantError(
                f"{n} electrodes were asked for and {title} has {n_offered} places; ask for fewer, "
                f"or take a denser montage such as {DENSE}"
            )
        first = list(range(n)) if n == n_offered else spread(places, n)
    if len(first) < FEWEST:
        raise MajorantError(
            f"{title} gives {len(first)} electrodes ({', '.join(names[i] for i in first)}); source "
            f"imaging needs at least {FEWEST}, and 32 or more are advised"
        )
    order = spread(places, n_offered, first)
    return Cap(title, tuple(names[i] for i in order), places[order], len(first), n_offered)


def _named(title: str, names: list[str], wanted: Sequence[str]) -> list[int]:
    folded = {name.casefold(): i for i, name in enumerate(names)}
    missing = [name for name in wanted if name.casefold() not in folded]
    if missing:
        near = nearest(missing[0], names)
        raise MajorantError(
            f"{title} has no electrode named {', '.join(missing)}{near}; it has {', '.join(names)}"
        )
    found = [folded[name.casefold()] for name in wanted]
    if len(set(found)) < len(found):
        raise MajorantError(f"an electrode is named twice in {', '.join(wanted)}")
    return found


def _offered(
    montage: str, head: ShellHead, account: Account
) -> tuple[str, list[str], NDArray[np.float64]]:
    """Title, names and places on the template's scalp of everything that is offered."""
    path = Path(montage).expanduser()
    if not path.is_file():
        cap = CAPS.get(montage.casefold())
        if cap is not None:
            found = montage_electrodes(cap.montage, cap.channels or None)
            montage = cap.title
        else:
            found = montage_electrodes(_known(montage))
        placed = align(found, head)
        account.note(replace(placed, name=montage).sentence())
        return montage, list(placed.ch_names), placed.positions
    from majorant.head.template import electrode_places

    suffix = path.suffix.lower()
    info = _montage_info(montage, account) if suffix in CUSTOM + DIGITISED[1:] else None
    if info is None:
        recording = load_recording(path, account.say)
        info = _settled(
            recording.data[0] if recording.kind == "evoked" else recording.data, account
        )
    places, fiducials = electrode_places(info)
    placed = align(digitised_electrodes(places, fiducials), head)
    account.note(replace(placed, name=path.name).sentence())
    return path.name, list(placed.ch_names), placed.positions


def _known(montage: str) -> str:
    """Return the name of a montage, or say which names are near."""
    import mne

    builtin = [str(name) for name in mne.channels.get_builtin_montages()]
    known = [*CAPS, *builtin, *ALIASES, "standard_90"]
    if montage.casefold() not in {name.casefold() for name in known}:
        raise MajorantError(
            f"there is no montage and no file named {montage!r}{nearest(montage, known)}; "
            f"caps and montages are {', '.join(sorted(set(known), key=str.casefold))}"
        )
    return montage


def _montage_info(montage: str, account: Account) -> Any:
    """Info of all the electrodes of a montage file."""
    import mne

    placed = read_montage(montage)
    names = list(placed.montage.ch_names)
    info = mne.create_info(names, 1000.0, "eeg", verbose="error")
    inst = mne.EvokedArray(np.zeros((len(names), 1)), info, verbose="error")
    with listening(account, "placing electrodes"):
        inst.set_montage(placed.montage, on_missing="ignore")
    return _settled(inst, account)


def _settled(inst: Any, account: Account) -> Any:
    """Info of the good electrodes with places; no sample is looked at."""
    import mne

    info = inst.info
    picks = [i for i, kind in enumerate(inst.get_channel_types()) if kind == "eeg"]
    if len(picks) == 0:
        kinds = set(inst.get_channel_types())
        raise MajorantError(
            f"there are no EEG channels in it (only {', '.join(sorted(kinds))}); give a recording "
            "of EEG, or a montage"
        )
    bare = mne.EvokedArray(np.zeros((len(picks), 1)), mne.pick_info(info, picks), verbose="error")
    settle(bare, Preparation(), account)
    return bare.info


def placed_apart(
    names: Sequence[str], places: NDArray[np.float64]
) -> tuple[list[str], NDArray[np.float64]]:
    """Electrodes on the scalp, each place once: no clips on the ears, no second names.

    Where there is an A3, as in BioSemi's larger caps, A1 and A2 are no ears.
    """
    upper = [name.upper() for name in names]
    ears = () if "A3" in upper else EARS
    keep = [i for i in _distinct(places) if upper[i] not in ears]
    return [names[i] for i in keep], places[keep]


def _distinct(places: NDArray[np.float64]) -> list[int]:
    """Indices of places that are not those of an earlier electrode."""
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    return [i for i in range(len(places)) if i == 0 or apart[i, :i].min() > SAME]


def extended(cap: Cap, head: ShellHead, wanted: int) -> Cap:
    """Add places of the 10-05 system that lie far from the electrodes at hand."""
    dense = align(montage_electrodes(DENSE), head)
    own = {name.casefold() for name in cap.ch_names}
    taken = np.concatenate([cap.positions, dense.positions])
    new = [
        i
        for i in _distinct(taken)
        if i >= len(cap.positions) and dense.ch_names[i - len(cap.positions)].casefold() not in own
    ]
    pool = np.concatenate([cap.positions, taken[new]])
    names = [*cap.ch_names, *(dense.ch_names[i - len(cap.positions)] for i in new)]
    held = list(range(len(cap.positions)))
    order = spread(pool, min(wanted, len(pool)), held)
    return replace(cap, ch_names=tuple(names[i] for i in order), positions=pool[order])
