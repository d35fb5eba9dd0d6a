"""A family of the tests' own: kinds whose effects can be counted from outside."""
