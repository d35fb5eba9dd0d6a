"""Handlers of the family `platform`."""
