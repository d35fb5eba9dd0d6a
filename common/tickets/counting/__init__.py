"""What is counted of tickets, kept beside them in the transaction of each change."""
