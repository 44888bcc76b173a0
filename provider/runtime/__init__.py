"""What every edge uses and no library gives: clock, threads, time slices, names, small files.

`clock` leaves out the time in which the process did not run (rule 14). `threads` runs blocking calls beside the event
loop and `timeslice` makes long work give way, so that a poll never waits for it. `resolver` and `connector` reach other
hosts under one deadline; `bounded` and `files` read no more than they were allowed. `resource` ends what was started,
in reverse. `systemd` reports readiness.

These are mechanisms: nothing here knows what a service, a release or a document is.
"""
