"""Runs: what is asked for (spec), what was obtained (record), and how one becomes the other."""
