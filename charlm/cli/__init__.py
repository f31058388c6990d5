"""The command line: one file a verb, shared options and streams, one error boundary."""
