"""`python -m bratsprep` is the command."""

from bratsprep.cli import main

main()
