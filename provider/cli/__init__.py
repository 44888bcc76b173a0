"""What a person types: one command a verb, for a running daemon or without one.

`main` is the group of all verbs, which are in `commands/`. They ask a daemon through `client/` and draw what it
answers with `terminal/`. `deploy/`, `doctor/` and `demo/` are the verbs that are programs of their own; `offline`
renders a file without a daemon.

Imports point down: commands, deploy, then demo, doctor, terminal and offline, then client. What is slow to import is
imported by the verb that needs it. A verb asks the daemon what holds. Only `deploy` decides: what it must not start.
"""
