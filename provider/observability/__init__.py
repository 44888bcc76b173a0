"""What people and their tools see of the daemon: metrics, logs, conditions and notifications.

`active_conditions` are those of the daemon that hold now, of the catalogue in `model`. `metrics` are what Prometheus
scrapes, `log_events` writes one line for each change. `notices` says which changes are worth a message,
an `outbox` when it goes out, and `notifier` delivers it.

Everything here takes values and returns or writes them. A sink that is slow or away never holds up a decision. This
room asks nothing and decides nothing.
"""
