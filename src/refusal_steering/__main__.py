"""`python -m refusal_steering` is the command line."""

from refusal_steering.cli import main

main()
