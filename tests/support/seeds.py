"""How many random stories the tests of replicas play: the same in CI each time, and many others in `make hunt`.

A story that went wrong names its seed; `BLUEGREEN_SEED=SEED` plays that one alone, and it goes the same way again.
"""

import os

SEEDS_COUNT = int(os.environ.get("BLUEGREEN_SEEDS", "200"))
ONE = os.environ.get("BLUEGREEN_SEED")
SEEDS = range(SEEDS_COUNT) if ONE is None else range(int(ONE), int(ONE) + 1)
