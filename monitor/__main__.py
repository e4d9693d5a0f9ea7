"""`python -m monitor` is the `monitor` program."""

from monitor.cli import main

if __name__ == "__main__":
    main()
