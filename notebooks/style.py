"""The look of the notebooks under the name that some of them import."""

from arrayconv.lessons import (  # noqa: F401
    AMOUNT,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SIGNED,
    matrix,
    picture,
    style,
)

style()
