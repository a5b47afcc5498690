"""Making models: pretrained backbones, features, heads and their fit; only training needs this package."""
