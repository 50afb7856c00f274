"""The operations: one family a file, each forward beside its vector-Jacobian product."""
