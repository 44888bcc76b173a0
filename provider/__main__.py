"""Lets `python -m provider` be the command `bluegreen`."""

from provider.cli.main import main

if __name__ == "__main__":
    main()
