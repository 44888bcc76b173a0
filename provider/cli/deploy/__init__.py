"""`bluegreen deploy`: starts a release in the standby colour with Docker Compose, and follows its rollout to the end.

`deployment` takes the steps in order: check, lease, start, follow. `inspection` asks Compose and the daemon what would
be started and replaced; `plan` is pure and decides what of that is refused (rule 17). `lease` keeps other deployments
away. `release` follows what was started until its rollout is over.

All reasons to refuse are looked for before anything is started. Whatever happens then, the leases are ended, and a
rollout that has begun continues without us. The daemon decides about the rollout; this package only watches it and asks
for it. Nothing here prints: lines and statuses go to the callbacks that the verb passes.
"""
