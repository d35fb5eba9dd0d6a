"""Rooms and the files that are shared in them: who may do what, and bytes that are stored once."""
