"""`python -m ivtutorial.cli`: the command line without its entry point, for accelerate and child processes."""

from __future__ import annotations

from ivtutorial.cli import main

main()
