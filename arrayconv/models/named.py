"""The base of initializers and regularizers, which may be given by name, as a config, or as an object."""

from __future__ import annotations

import inspect
import re
from typing import Any, ClassVar, Self

from arrayconv.models.checks import choice


class Named:
    """A class that keeps each argument of its constructor as an attribute of that name.

    A direct subclass, such as `Initializer`, finds its own subclasses by name: ``"HeNormal"``, or ``"he_normal"``
    as in Keras.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    known: ClassVar[dict[str, type[Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.fields = tuple(inspect.signature(cls).parameters)
        if Named in cls.__bases__:
            cls.known = {}
        elif cls.__name__[0] != "_":
            snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
            cls.known[cls.__name__] = cls.known[snake] = cls

    def get_config(self) -> dict[str, Any]:
        """The class and its arguments, ready for JSON."""
        return {"class": type(self).__name__, **{name: getattr(self, name) for name in self.fields}}

    def __repr__(self) -> str:
        given = ((name, getattr(self, name, None)) for name in self.fields)
        shown = ", ".join(f"{name}={value!r}" for name, value in given if value is not None)
        return f"{type(self).__name__}({shown})"

    @classmethod
    def of(cls, label: str, argument: str, value: Any) -> Self:
        """An object of this class from ``value``: a name, a config, a class, or such an object itself.

        Raises
        ------
        ValueError
            If it is none of these, or the name is unknown.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, type) and issubclass(value, cls):
            return value()
        arguments = {}
        if isinstance(value, dict):
            arguments = dict(value)
            argument, value = f"{argument}['class']", arguments.pop("class", None)
        # an error lists Keras's spelling alone
        table = {
            name: kind for name, kind in cls.known.items() if name.islower() or name == str(value)
        }
        made: Self = choice(label, argument, value, table)(**arguments)
        return made
