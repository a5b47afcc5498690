"""The line: from a camera over a belt to the sorter, with an account of every piece."""
