"""`bluegreen doctor`: checks a whole set-up for what is wrong, or will go wrong.

`facts/` are the edges: each module asks one thing (the daemon, its files, a Traefik, Docker, Compose) and returns
what it saw as frozen facts. `checks/` is pure, from facts to findings, by what they are about, and has the types of
the facts; nothing there waits, reads a clock or opens a file. `findings` has the code and the severity of every
finding, `examine` runs facts and checks in order, `output` draws the report or returns its JSON.

What could not be checked is `Skipped`, with the reason: no evidence is not a pass (P2). The doctor changes nothing,
and asks the daemon only through the admin API, like every client.
"""
