"""Durable state: decisions, the servers last seen, the texts of the file that were accepted and applied last, and the
revision of the last document.

`interface` is what the controller needs of a store, `records` the values that are stored and their JSON. `sqlite` keeps
them in a directory on a local disk, `etcd` for several replicas; `kinds` tells the two by `--store`. `contents` is all
that a store holds as one text, and `offline` reads and fills a store with it.

A decision is committed before anything shows it, all or nothing (P5). This room stores what it is given: it knows no
rule, no Docker and no Traefik.
"""

from provider.store.interface import SharedStore, Store
from provider.store.records import Change, Stored, StoredServers

__all__ = ["Change", "SharedStore", "Store", "Stored", "StoredServers"]
