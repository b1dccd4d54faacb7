"""What is run: the scenario schema, the world built from it and the command line."""
