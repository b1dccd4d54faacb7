"""A run from its scenario to a finished directory, resumable between intervals."""
