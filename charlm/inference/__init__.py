"""The network in NumPy and its uses: sampling, scoring, classification, translation, infilling. Never imports torch."""
