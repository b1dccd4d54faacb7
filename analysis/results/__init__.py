"""Directories of runs: files, checks, tables, limits, nets, labelled arrays, findings."""
