"""Saving and loading models: arrayconv's own format, Keras's files, and weights of PyTorch."""
