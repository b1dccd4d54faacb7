"""Schemes of coordination: order of decisions, and the data passed between them."""
