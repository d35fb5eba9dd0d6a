"""Where files lie: each under a random id, streamed in and out, visible only when whole."""
