"""Looks a whole set-up over for what goes wrong with it, or will.

`look/` has the edges: each asks one thing and returns facts. The checks beside it are pure, from facts to findings.
`examination` puts both together, `sheet` draws what was found.
"""
