"""The pure core: what happens to a release, and why.

`reconcile(snapshot, now)` takes the frozen picture of one rollout group and returns a plan: the next state, the
decisions that led there, and when to look again. Its rules are in `rules/`, each takes one transition or none. A phase
changes only by the table in `phases`, and its time only in `clocks`; `stepping` knows where a rollout is in its steps.
Evidence is judged in `gates`, `health`, `confirming` and `watching`; it counts only for the release and the definition
that it was gathered for (P1), and missing evidence is neither a pass nor a failure (P2). What an analysis counts
becomes intervals in `counting` and evidence in `evidence`; `analysing` has its tests, and says what they come to.

`candidates` says what a group wants and what keeps it from it, `quarantine_list` keeps what failed, `serving` chooses
the servers that are published, and `transitions` writes the history beside each change. `commands` is what operators
ask for, done or refused with a reason; `leases` keeps deployments apart; `rollback_target` is what a rollback would
return to. `facts` works out once what is known of a service; `status`, `conditions` and `explain` say it in words.

Nothing here can wait, read a clock, or touch the outside: a function gets `now`, and the same input gives the same
plan. A run that is interrupted after any commit and resumed ends where an uninterrupted one does.
"""
