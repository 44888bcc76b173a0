"""Reads back from the API of every Traefik what it applied (rules 7 and 15).

The marker of a document is shown from the moment that the document is in force. `followers` says when to ask whom,
`api` asks once, `reading` says what an answer means.
"""

from provider.readback.followers import ReadBack
from provider.readback.reading import Reading

__all__ = ["ReadBack", "Reading"]
