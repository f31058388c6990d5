"""Training objectives in torch, one file a task."""
