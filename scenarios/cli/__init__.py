"""The command line: verbs with their options, and output on a terminal."""
