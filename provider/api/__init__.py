"""What listens: the provider endpoint that Traefik polls, and the admin API with its console.

There are two listeners. `provider` serves the document, metrics and health to machines; `admin` serves status,
history, events and commands to people and pipelines. `routes` is the table of the admin API, from which `openapi` is
made. `access` authenticates and authorises, by `tokens`, `tls` and the rules against pages of other sites; `listen`
and `connections` own sockets and bounds.

What is said of one service is of one moment; an answer about all of them gives way in between, so that no poll waits.
Only history waits for the store. A command is handed to the controller, and its answer is sent once the decision is
durable. Whatever a client sends has a bound and may be any bytes. This room decides nothing: what may be done, and
why not, is said in `rollout`.
"""
