"""Asks a running daemon over its admin API, and Docker Compose by its command.

`admin_api` sends requests and reads events with nothing but the standard library, so that a verb answers fast; its
answers have the types of `model.api_types`. `follow` reads status and history of one service again and again, `wait`
does so until a goal is reached, `read_back` until every Traefik has applied a command. `decisions` describes rows of
the history. `compose` runs Docker Compose, `healthcheck` asks whether a daemon is alive.

Nothing here prints or exits: failures are raised, lines and statuses go to callbacks. It knows neither the options of a
verb nor the terminal.
"""
