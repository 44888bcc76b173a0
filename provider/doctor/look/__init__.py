"""Ask one thing each, and return what was seen as facts, or why it could not be seen."""
