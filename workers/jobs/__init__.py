"""Handlers of jobs about jobs."""
