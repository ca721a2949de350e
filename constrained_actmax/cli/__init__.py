"""The command line: the same calls as in Python, from flags or a TOML file."""

from constrained_actmax.cli import comparing as comparing  # its commands join the others
from constrained_actmax.cli.commands import main

__all__ = ["main"]
