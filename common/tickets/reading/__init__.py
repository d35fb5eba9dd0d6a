"""Files of rows as they really come: unknown encodings, delimiters and line ends, broken lines, no bounds."""
