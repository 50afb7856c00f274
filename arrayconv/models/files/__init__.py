"""Models in files: our own, and the weights of Keras and PyTorch."""
