"""The verbs that compute as Python functions, one file each; the command line calls them."""
