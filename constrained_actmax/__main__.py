"""``python -m constrained_actmax``: the command line."""

from constrained_actmax.cli import main

if __name__ == "__main__":
    main()
