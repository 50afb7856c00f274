"""How a graph is trained: the data, the objective, the step and the loops."""
