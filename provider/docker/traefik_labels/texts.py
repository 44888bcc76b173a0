"""What no text of a document may have, which Traefik reads as YAML."""

import re

from provider.model.traefik_schema.texts import SEPARATOR, UNREADABLE

_LINE_ENDS = re.compile("[\u0085\u2028\u2029]")
"""JSON has them as they are, and YAML's double quotes fold them as the ends of lines."""


def unreadable(text: str) -> str | None:
    """Return the name of the first character of a text that would not arrive as it is."""
    if text.isprintable() and SEPARATOR not in text:
        return None
    found = UNREADABLE.search(text) or _LINE_ENDS.search(text)
    if found is None and SEPARATOR not in text:
        return None
    return f"the character U+{ord(found[0] if found else SEPARATOR):04X}"
