"""Photos as they might have been taken otherwise."""
