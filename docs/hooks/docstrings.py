"""Lets the reference show the docstrings' own section names as what they are, and the constants that modules export.

The Google style's parser knows "Examples:" and "Note:"; the docstrings say "Example:" and "Notes:". Without this
the doctests would be set as quotations. A constant has no docstring, and what has none is left out of the reference.
"""

import re
from typing import Any

import griffe

NAMES = {"Example:": "Examples:", "Notes:": "Note:"}
SECTION = re.compile(r"^( *)(Example:|Notes:)$", re.MULTILINE)


class SectionNames(griffe.Extension):
    """Renames the section titles before the docstring is parsed, and speaks for constants."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename in one object's docstring."""
        if obj.docstring:
            obj.docstring.value = SECTION.sub(lambda m: m.group(1) + NAMES[m.group(2)], obj.docstring.value)

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Give an exported constant or type a line, so that its value is shown."""
        module = attr.parent
        exported = isinstance(module, griffe.Module) and attr.name in [str(name) for name in module.exports or ()]
        if exported and attr.docstring is None:
            what = "Constant" if attr.name.isupper() else "Type"
            attr.docstring = griffe.Docstring(f"{what} of this module.", parent=attr)
