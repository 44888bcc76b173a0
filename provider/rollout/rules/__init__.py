"""The rules of `reconcile`, by when they apply: to a service as such, before the switch, after it.

A rule takes a snapshot and the moment, and returns one transition or None. The order of the rules is in `reconcile`.
"""
