"""Command line of training; ``python -m training --help`` lists the commands."""

from training.cli.main import main

main()
