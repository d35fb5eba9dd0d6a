"""Handlers of the family `organizations`."""
