"""How Fairway is run."""
