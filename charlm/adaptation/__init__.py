"""Adaptation: a head and context counts that learn while they read, in arithmetic with equal bits on every machine."""
