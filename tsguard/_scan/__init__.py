"""Scanning files for backdoors, and predicting on them: what the command line runs."""
