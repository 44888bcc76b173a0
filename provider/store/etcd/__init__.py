"""The store of several replicas: etcd through its JSON gateway (docs/design.md, rules 50 to 65).

`gateway` is all that is asked of etcd, `client` asks it over aiohttp, `stream` reads its watches, `wire` has the JSON
of both sides; `address` has the members, the certificates and the user. `keys` names what is stored, `packing`
compresses it, and `limits` are those of etcd.

`store` is the store of one term. `election` and `leader` decide who leads; the epoch of the term is in the conditions
of every write, so that a replica which believes that it leads can do no harm. `commits` puts decisions exactly once,
`head` says which commit was the last. `rows` has the rows of groups, `observations` those of servers, `history` the
decisions. `cell` is a key that is put as a whole: the document and the texts (`documents`).

`mirror` is what every replica follows and serves: `mirrored` has what it knows, `kept` the last document on its disk,
`presence` what it says of itself (`replicas`), `hint` how it notices that the leader has ended.

Each request is sent once. What is unknown is made impossible, or found to stand; nothing is sent again, or taken back.
"""
