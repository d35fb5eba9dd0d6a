"""Customers' messages: what a ticket is, which rows become one, and how a file of them is read."""
