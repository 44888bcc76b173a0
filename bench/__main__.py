"""Measures the numbers that the README quotes; `make bench` runs this on a quiet machine."""

import os
import platform

from bench import change, health, start


def main() -> None:
    """Say what machine this is, then measure."""
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {platform.system()}")
    for part in (change, start, health):
        print(f"\n{(part.__doc__ or '').splitlines()[0]}")
        part.main()


if __name__ == "__main__":
    main()
