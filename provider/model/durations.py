"""Durations as text: for people, and as Go writes them."""


def spoken(seconds: float) -> str:
    """Write a duration for people: to the second, from an hour on to the minute; a negative one as 0s."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s" if minutes else f"{rest}s"


def written(seconds: float) -> str:
    """Write a duration as Go does."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    return (f"{minutes:.0f}m" if minutes else "") + f"{rest:g}s"
