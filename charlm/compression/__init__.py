"""Lossless compression with a language model: exact arithmetic, a range coder, and the files that they make."""
