"""What a message is about to do to whoever reads it: urgency, sentiment, and whether anything is asked for."""
