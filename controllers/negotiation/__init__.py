"""Negotiation by messages: coordinator, agents, consensus and LDD-ADMM's terms."""
