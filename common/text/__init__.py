"""Text as it really comes: unknown encodings, delimiters and line ends, and no bounds."""
