"""Draws the answers of the admin API for people: tables, a live view that follows a daemon, lines in a pipe.

`tables` and `history` print once. `live` is `status --watch`: `feed` keeps the answers up to date, `overview` draws all
services and `detail` one, `view` has what both share, `layout` fits lines to a screen of any size, `changes` prints
lines instead in a pipe. `progress` is what `wait` and `deploy` show. `words` and `symbols` are the texts and signs that
all of these share.

Every text from a daemon is printable before it is drawn: control characters are escaped. Nothing here decides, and no
colour or sign says anything alone: a word is beside it.
"""
