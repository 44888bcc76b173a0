"""Files of a service that a test operates."""

from tests.support.running import shop

MORE = "    initial: blue\n    watch: 1h\n    deadlines: {confirming: 1ms}\n"


ONE = shop(more=MORE)


TWO = shop(green="8082", more=MORE)


MANUAL = TWO + "    approval: manual\n"
