"""What stands behind the features: fitted, searched for, trained."""
