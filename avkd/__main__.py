"""`python -m avkd` is the same as `avkd`."""

from avkd.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
