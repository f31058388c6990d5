"""Training in torch: lanes of the corpus, optimizers, schedule, validation, the plan, the loop."""
