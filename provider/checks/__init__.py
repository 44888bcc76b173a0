"""Health checks and smoke tests of servers, and what an analysis reads.

Each check is one request with one deadline, and ends in one result: passed, failed, or no evidence (P2). `health`
schedules the checks and turns their results into a verdict on each server (rule 5). `kinds` has a module for each kind
of health check, and `result` says why one failed. `smoke` runs the tests of one candidate, and `smoke_answer` compares
one answer with the test. `exchange` sends a request over `http1` or `http2`. `analysis` reads counters from the metrics
of Traefiks or from a Prometheus, which it also asks its queries.

Results go to callbacks, as values. The result of a probe or run that is no longer requested is dropped. This room
knows no Docker, no running Traefik and no phase: it does not know what a failure leads to.
"""
