"""Reads back from the API of every Traefik what it applied (rules 7 and 15).

A Traefik shows the marker of a document from the moment that it is in force. `schedule` decides when to read which
address, `api` sends one request, `reading` reads the answer, with `json_stream` for the large one.

A reading is evidence about the Traefik that answered, at that moment, and about nothing else. What several readings
mean together is decided in `traefik.applied`.
"""

from provider.traefik.readback.reading import Reading
from provider.traefik.readback.schedule import ReadBack

__all__ = ["ReadBack", "Reading"]
