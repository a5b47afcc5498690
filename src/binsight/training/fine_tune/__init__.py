"""Training a backbone with its heads."""
