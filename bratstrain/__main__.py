"""`python -m bratstrain` is the command."""

from bratstrain.cli import main

main()
