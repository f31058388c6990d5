"""The network in torch: layers, their initialisation, and the whole network built from a ModelConfig."""
