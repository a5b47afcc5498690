"""The closed loop: labels, live accuracy, drift, and promotion only when it is proven; NumPy and SQLite only."""
