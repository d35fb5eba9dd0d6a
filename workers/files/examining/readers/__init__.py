"""One reader for each sort of content: `read(content)` returns what is cheap to know, or raises `Unreadable`.

A reader runs in the confined child only, and is imported when its sort first comes.
"""
