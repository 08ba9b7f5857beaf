"""Head office's forms as they are shown: what was typed, and what of it is wrong, beside the fields. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.runtime.pages.forms import Form
from shared.runtime.problems import Problem


class FieldFault(NamedTuple):
    """What is wrong with a field, or with a whole form, and what to do, as sentences."""

    detail: str
    hint: str = ""


@dataclass(frozen=True)
class OfficeForm:
    """A form as shown: the values typed, the faults by field, and the field with the focus; `refused` is as a whole."""

    values: Form
    faults: Mapping[str, FieldFault] = field(default_factory=dict)
    focus: str | None = None
    refused: FieldFault | None = None


class OfficeFormRefusal(Exception):
    """The form cannot be carried out as it is."""

    def __init__(self, faults: Mapping[str, FieldFault]) -> None:
        super().__init__(", ".join(faults))
        self.faults = dict(faults)

    def form(self, values: Form) -> OfficeForm:
        """The refused form, with the focus on the first field that is wrong."""
        return OfficeForm(values, self.faults, next(iter(self.faults), None))


def refused_form(problem: Problem, values: Form, fields: Mapping[str, str], by_code: Mapping[str, str]) -> OfficeForm:
    """A form that was refused by a problem, which is told beside the fields that it concerns.

    `fields` names the form's fields by the names in the problem's `errors`, `by_code` by the code of a problem without.
    """
    faults: dict[str, FieldFault] = {}
    for error in problem.extras.get("errors", ()):
        if (name := fields.get(error["field"])) is not None:
            faults.setdefault(name, FieldFault(sentence(error["message"])))
    if not faults and problem.code in by_code:
        faults[by_code[problem.code]] = FieldFault(sentence(problem.detail), problem.hint)
    if faults:
        return OfficeForm(values, faults, next(iter(faults)))
    return OfficeForm(values, refused=FieldFault(sentence(problem.detail or problem.title), problem.hint))


def sentence(text: str) -> str:
    """A text as a sentence: with a large letter in front and a full stop."""
    return text if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
