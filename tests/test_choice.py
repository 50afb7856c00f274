"""The table of rules: every line is of use, and what it names serves."""

import random

import pytest

from arrayconv.engine.choice import RULES, STRATEGIES, choose
from arrayconv.engine.problem import Problem
from arrayconv.engine.settings import Settings
from arrayconv.namespace import Traits
from arrayconv.window import sliding


def problems(count):
    """Yield problems of all kinds, the same ones every time."""
    draw = random.Random(0)
    while count:
        ndim = draw.choice([1, 2, 2, 3])
        size = [draw.choice([3, 7, 14, 28, 56, 224]) for _ in range(ndim)]
        kernel = (draw.choice([1, 2, 3, 5, 7, 9, 31]),) * ndim
        stride, dilation = draw.choice([1, 1, 2, kernel[0]]), draw.choice([1, 1, 2])
        try:
            window = sliding("conv", size, kernel, stride, "same", dilation)
        except ValueError:
            continue
        yield Problem(
            draw.choice(["correlate", "input_vjp", "weight_vjp"]),
            draw.choice([1, 1, 8]),
            draw.choice([1, 32]),
            draw.choice([1, 3, 8, 16, 64]),
            draw.choice([1, 8, 32, 64]),
            window,
            4,
            Traits(draw.choice([True, False]), draw.choice([True, False, False])),
            True,
        )
        count -= 1


def test_every_rule_is_chosen_and_its_strategy_serves():
    used = set()
    for problem in problems(20000):
        for precision in ("default", "fast"):
            rule = choose(problem, Settings(precision=precision))
            used.add(rule)
            strategy = STRATEGIES[rule.strategy]
            assert strategy.declines(problem.window, problem.channels, problem.features) is None, (
                problem,
                rule,
            )
            assert precision == "fast" or not strategy.fast
    assert [rule for rule in RULES if rule not in used] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.reason.split(":")[0])
def test_a_rule_gives_its_reason(rule):
    assert rule.strategy in STRATEGIES
    assert 10 < len(rule.reason) < 80
