"""Containers of a Docker Engine, and tasks of a Swarm -> the servers of each service and colour.

`kinds` has what may be followed (`--docker-mode`): an engine, a Swarm (`swarm`), or both at once (`auto`). Each is a
`following` of one `engine`: it takes what is to be listed, and connects again (`reconnect`).

`hosts` follows the engines of the file, each as such a kind (rule 38), and `joined` reports several as one.

Of an engine, `discovery` follows events; `inventory` keeps what was listed and reports it. `listing` has the requests,
`container` reads an entry of a list, and `inspected` what it was created with. `sighting` makes servers of that, by its
`labels`, the `places` where it listens and its `release`. `networks` chooses the one address of several (rule 38);
`deaths` counts containers that died (rule 5). `traefik_labels` decodes the routing in labels of Traefik's (rule 34).

It is level-triggered: an event only says which service to list again, and a complete list corrects whatever was
missed. An engine that does not answer takes no server away (P4). Labels and answers are untrusted text. This room
knows no phase and no document.
"""
