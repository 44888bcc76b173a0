"""The stories of `bluegreen demo`, one module each: a setting, and what is played and checked on it."""
