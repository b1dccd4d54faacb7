"""Negotiations by messages in the simulated time: links, mailboxes, processes on SimPy."""
