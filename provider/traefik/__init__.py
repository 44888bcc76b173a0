"""Traefik: the document it fetches, who fetches it, and the proof that it was applied.

`document/` is pure: from what is served to the bytes of a document. `pollers` are the connections that fetch it,
`readback/` reads from the API of every Traefik what is in force, `shown` keeps what each has shown, and `delivery`
infers which Traefik surely has which document (rule 7). Only what a Traefik shows is evidence.

`process` runs a Traefik of our own, for the demo and for the `validation` of a file. `certificate` makes the default
certificate. What Traefik really does is checked by tests against a real one. This room decides no switch.
"""
