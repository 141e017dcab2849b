"""Records of options: what travels together is declared once, and a command takes it as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Any, get_type_hints


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses: the command line shows an option for each of their fields.

    Parameters
    ----------
    command : callable
        Its parameters from the first dataclass on are given by name.
    """
    shown: list[Parameter] = []
    records: dict[str, Any] = {}
    for parameter in signature(command, eval_str=True).parameters.values():
        record = parameter.annotation
        if not is_dataclass(record):
            shown.append(parameter)
            continue
        records[parameter.name] = record
        hints = get_type_hints(record, include_extras=True)
        shown += [
            parameter.replace(name=field.name, default=field.default, annotation=hints[field.name])
            for field in fields(record)
        ]

    @wraps(command)
    def gathered(**given: Any) -> None:
        for name, record in records.items():
            given[name] = record(**{field.name: given.pop(field.name) for field in fields(record)})
        command(**given)

    gathered.__signature__ = signature(command).replace(parameters=shown)  # type: ignore[attr-defined]
    return gathered
