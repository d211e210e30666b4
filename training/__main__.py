"""Command line of training: ``python -m training train|evaluate|export|teacher``."""

from training.cli import main

main()
