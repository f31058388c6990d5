"""Training in torch: objectives, optimizers, validation, the loop, and runs that can be resumed."""
