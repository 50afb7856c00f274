"""Optimizers by Keras's names, and `schedules` of their learning rate."""

from arrayconv.models.optimizers import schedules
from arrayconv.models.optimizers.algorithms import SGD, Adam, AdamW, RMSprop, as_optimizer
from arrayconv.models.optimizers.optimizer import Optimizer

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "as_optimizer", "schedules"]
