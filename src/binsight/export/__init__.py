"""Turn trained networks into the files that a bundle holds."""
