"""A stage: one follower with its leaders decide, are evaluated and recover."""
