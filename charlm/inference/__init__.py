"""The same network in NumPy, and what it is used for: sampling and scoring. Never imports torch."""
