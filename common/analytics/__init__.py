"""Statistics: what the tickets of an organization come to, over any range of time."""
