"""The Traefik dynamic configuration as immutable bytes. Pure.

`http`, `tcp` and `udp` say what the endpoints of one service are in Traefik, with `parts` that they have in common, and
`render` makes a fragment of it; `assembly` keeps the fragments of all services joined in blocks, so that a change costs
no more than its block. The same state gives the same bytes (P6). Only shapes that Traefik accepts are made (rule 15):
no empty sections, no weight of 0, an explicit priority where Traefik's own would not do, and a marker named by the hash
of the rest.

`rest` chooses which text of the file is published, besides decisions and servers, while Traefik refuses the newest.
`fallback` is the document as a file for Traefik's file provider.
"""
