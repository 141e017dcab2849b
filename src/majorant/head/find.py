"""Whose head: the template, a subject of FreeSurfer, or any `mne.Forward`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from majorant.account import Account
from majorant.forward.bank import HeadBank
from majorant.forward.electrodes import Alignment
from majorant.forward.leadfield import Leadfield
from majorant.head.around import (
    forward_heads_around,
    registered,
    subject_heads_around,
    with_cortex,
)
from majorant.head.coregistration import Coregistration
from majorant.head.spaces import SourceSpace
from majorant.head.template import child_of, head_scale, template_forward
from majorant.registry import SolverSpec

__all__ = ["Head", "find_head", "subjects_folder"]

SURFACE_SPACE = "ico4"
REGIONS_FROM = "ico5"
"""Vertices from which a subject's regions are made: fsaverage5 has as many."""


@dataclass(frozen=True, eq=False)
class Head:
    """Where the lead field comes from.

    Attributes
    ----------
    forward : mne.Forward
    leadfield : Leadfield or None
        Where the forward was made from one.
    space : SourceSpace or None
        Where estimates belong, if not on the forward's own source space.
    alignment : Alignment or None
        Of the electrodes with the template.
    coregistration : Coregistration or None
        Of the electrodes with the subject's scalp.
    around : callable or None
        Gives the bank of heads around this one; None where it is not known well enough.
    """

    forward: Any
    leadfield: Leadfield | None = None
    space: SourceSpace | None = None
    alignment: Alignment | None = None
    coregistration: Coregistration | None = None
    around: Callable[[], HeadBank] | None = None


@dataclass(frozen=True)
class HeadRequest:
    """Whose head is wanted, and with which sources.

    Attributes
    ----------
    solver : SolverSpec
    space : str
        See :class:`majorant.SourceImager`.
    subject, subjects_dir, trans : str or None
        A FreeSurfer subject, where subjects are, and its file from head to MRI coordinates.
    head : {"auto", "template", "warped"}
        Without a subject; see :func:`majorant.head.template.template_forward`.
    circumference : float or None
        Of the head, cm.
    skull : float or None
        Its conductivity, S/m.
    age : float or None
        Years.
    """

    solver: SolverSpec
    space: str = "auto"
    subject: str | None = None
    subjects_dir: str | None = None
    trans: str | None = None
    head: str = "auto"
    circumference: float | None = None
    skull: float | None = None
    age: float | None = None


def find_head(
    request: HeadRequest,
    info: Any,
    forward: Any | None,
    progress: Callable[[str], None] | None,
    account: Account,
) -> Head:
    """Find or compute the forward that is asked for.

    Raises
    ------
    MajorantError
        If it cannot be had; the sentence says what would do.
    """
    wanted, regions_only = request.space, request.solver.abilities.space == "regions"
    regions = wanted == "regions" or (wanted == "auto" and regions_only)
    if forward is None and request.subject is None:
        space = "regions" if regions else wanted
        return _template(info, space, request, progress, account)
    coregistration, root, around = None, subjects_folder(request.subjects_dir), None
    if forward is not None and with_cortex(forward, info):
        around = partial(forward_heads_around, forward, info, request.skull)
    if forward is None:
        from majorant.head.subject import subject_forward

        assert request.subject is not None
        spacing = REGIONS_FROM if regions else SURFACE_SPACE if wanted == "auto" else wanted
        child = child_of(request.age)
        skull = request.skull or (None if child is None else child.skull)
        forward, coregistration = subject_forward(
            info, request.subject, root, request.trans, spacing, progress, skull=skull
        )
        if registered(request.subject, root):
            around = partial(
                subject_heads_around, info, request.subject, root, request.trans, skull
            )
        account.note(coregistration.sentence())
        if coregistration.shells is not None:
            account.note(coregistration.shells)
        if skull is not None:
            account.note(
                f"The skull was taken to conduct {skull:.3g} S/m, unless the subject’s folder has "
                "a solution of its own."
            )
    elif wanted not in ("auto", "regions"):
        account.note(f"The forward’s own source space was used; {wanted} is one of the template.")
    if not regions:
        return Head(forward, coregistration=coregistration, around=around)
    from majorant.head.registration import carry_regions

    carried = carry_regions(forward, info, root, request.solver)
    account.note(carried.sentence)
    return Head(carried.forward, carried.leadfield, carried.space, None, coregistration, around)


def subjects_folder(given: str | None) -> str | None:
    """Where FreeSurfer's subjects are: what was given, else MNE's SUBJECTS_DIR (or None)."""
    import mne

    found: Any = given or mne.get_config("SUBJECTS_DIR")
    return found


def _template(
    info: Any,
    space: str,
    request: HeadRequest,
    progress: Callable[[str], None] | None,
    account: Account,
) -> Head:
    made = template_forward(
        info,
        SURFACE_SPACE if space == "auto" else space,
        progress,
        head=request.head,
        circumference=request.circumference,
        skull=request.skull,
        age=request.age,
    )
    lead = made.leadfield
    where = SourceSpace.of_regions(lead) if lead.kind == "regions" else None
    account.note(made.alignment.sentence())
    if request.skull is not None:
        account.note(f"The skull was taken to conduct {request.skull:g} S/m, as asked.")
    if request.age is not None:
        account.note(_age(made.alignment, request))
    if request.circumference is not None:
        account.note(_size(made.alignment, request.circumference))
    return Head(made.forward, lead, where, made.alignment, around=made.around)


def _age(alignment: Alignment, request: HeadRequest) -> str:
    """What an age did."""
    child = child_of(request.age)
    if child is None:
        return "From 18 years on a head is taken to be the template’s."
    parts = [f"a skull of {child.thickness_mm:.1f} mm"]
    if request.skull is None:
        parts.append(f"which conducts {child.skull:.3f} S/m")
    if alignment.by != "warp" and request.circumference is None:
        parts.insert(0, f"a circumference of {child.circumference:.1f} cm")
    return (
        f"At {child.words} these were taken for typical: {', '.join(parts)}; published values "
        "scatter widely, the skull’s conductivity by a factor of two and more."
    )


def _size(alignment: Alignment, circumference: float) -> str:
    """What a circumference did."""
    if alignment.by == "warp":
        return "The circumference was not needed: what was digitised says how large the head is."
    factor = head_scale(circumference)
    return (
        f"A circumference of {circumference:g} cm makes the head {factor:.2f} times as large as "
        f"the template: amplitudes were multiplied by {factor**2:.2f}, places stay."
    )
