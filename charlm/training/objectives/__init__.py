"""The training objectives in torch, one file a task."""
