"""Lets the reference show the docstrings' own section names as what they are.

The Google style's parser knows "Examples:" and "Note:"; the docstrings say "Example:" and "Notes:". Without this
the doctests would be set as quotations.
"""

import re
from typing import Any

import griffe

NAMES = {"Example:": "Examples:", "Notes:": "Note:"}
SECTION = re.compile(r"^( *)(Example:|Notes:)$", re.MULTILINE)


class SectionNames(griffe.Extension):
    """Renames the section titles before the docstring is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename in one object's docstring."""
        if obj.docstring:
            obj.docstring.value = SECTION.sub(lambda m: m.group(1) + NAMES[m.group(2)], obj.docstring.value)
