"""The handlers of the tickets' jobs."""
