"""`bluegreen demo`: plays releases on a real Traefik under a steady load, in under a minute.

`run` plays one story: `stage` starts everything that takes part, all of it real and on loopback (the applications of
`application`, the daemon of `daemon`, Traefik, the desired-state file), `load` sends requests and counts every answer,
`screen` prints what happens. Each story is a module of `stories/`, written with the steps of `play`: each step waits
for what it is about to print, with a limit, and checks it. `wait` has the waiting.

The exit code says whether every statement held. The demo asks the daemon only over HTTP, and stops everything that it
has started, whatever happens.
"""
