"""Conversion of a user's net to the elements that the models have, each change recorded."""
