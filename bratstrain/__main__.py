"""`python -m bratstrain` is the command."""

from bratstrain.commands.cli import main

main()
