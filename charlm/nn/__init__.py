"""The network in torch: layers, initialisation, the whole built from a ModelConfig."""
