"""The conventions of the HTTP contract, one a file; the views know none of them by heart."""
