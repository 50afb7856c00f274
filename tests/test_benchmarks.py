"""The benchmark's contenders compute the same values, and its report does its sums right."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import (
    devices,
    extras,
    goals,
    gpu,
    machine,
    numpy_peers,
    ours,
    parts,
    report,
    sections,
    strategies,
    timing,
    train,
)
from benchmarks.cases import CONVS, POOLS, TINY_CALL, Conv
from benchmarks.gpu_libraries import Usable

ROOT = Path(__file__).parents[1]
SMALL = (*(case.tiny() for case in CONVS), TINY_CALL)


def contender(name, call, pool="one"):
    return timing.Contender(name, pool, call, lambda y: (y,))


def row(case, name, ms, section="conv forward", errors=(1e-7,)):
    return {
        "section": section,
        "case": case,
        "contender": name,
        "ms": ms,
        "errors": list(errors),
        "others": 0.0,
    }


@pytest.fixture
def full_precision():
    """JAX's products in float32, also on a GPU, where TF32 is its default."""
    if not find_spec("jax"):
        yield
        return
    import jax

    with jax.default_matmul_precision("highest"):
        yield


@pytest.mark.usefixtures("full_precision")
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_every_contender_convolves_alike(case, backward):
    data = case.data()
    expected = numpy_peers.conv_reference(case, data, backward)
    for each in sections.conv_contenders(case, data, backward):
        errors = sections.errors(each, expected, 2e-5)
        # the bare product has no input gradient to compare
        assert len(errors) == 2 * backward + (not backward) - (backward and each.name == "product")


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("case", POOLS, ids=lambda case: case.name)
def test_every_contender_pools_alike(case, backward):
    case = case.tiny()
    data = case.data()
    expected = numpy_peers.pool_reference(case, data, backward)
    for each in sections.pool_contenders(case, data, backward):
        assert sections.errors(each, expected, 1e-6)


def some_digits():
    rng = np.random.default_rng(0)
    images = rng.random((130, 12, 12, 1), dtype=np.float32)
    return train.Digits(images, rng.integers(10, size=130))


# Keras's metrics, on JAX from 0.11 on
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")
def test_every_contender_trains_alike(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    data, results = some_digits(), sections.Results()
    train.epochs(results, data, rounds=1, spin=0.0)
    assert not results.failures
    installed = [name for name, (package, _) in train.PEERS.items() if find_spec(package)]
    assert [row["contender"] for row in results.rows] == installed
    for row in results.rows:
        assert row["errors"][0] < 1e-5


def test_who_trains_something_else_is_not_timed(monkeypatch):
    monkeypatch.setattr(train, "PEERS", {"arrayconv numpy": train.PEERS["arrayconv numpy"]})
    results = sections.Results()
    (loss,) = train.expected(some_digits())
    monkeypatch.setattr(train, "expected", lambda data: (loss * 1.02,))
    train.epochs(results, some_digits(), rounds=1, spin=0.0)
    assert not results.rows
    assert [f["contender"] for f in results.failures] == ["arrayconv numpy"]


def test_memory_of_training():
    data = some_digits()
    found = train.measured("arrayconv numpy", data)
    assert found["MiB"] is None or 0 <= found["MiB"] < 500
    # the first block's result and its gradient at least
    assert 2 * 64 * 12 * 12 * 32 * 4 / 2**20 <= found["step MiB"] < 100
    rows = [{"section": "train memory", "case": "mnist5k", "contender": "keras", "MiB": 1.6}]
    rows[0]["step MiB"] = None
    facts = machine.facts(2) | {"others": 0.0, "load after": 1.0}
    page = report.markdown({"facts": facts, "rows": rows, "failures": []})
    assert "| keras | 2 | - |" in page


def test_what_devices_hand_on_is_counted():
    program = """
      %a = f32[3,3,32,32]{3,2,1,0} all-reduce(%b), channel_id=1
      %c = (bf16[8]{0}, s64[2]{0}) all-gather-start(%d)
      %e = f32[5]{0} add(%f, %g)
    """
    moved = devices.bytes_moved(program)
    assert moved == {"all-reduce": 9216 * 4, "all-gather": 8 * 2 + 2 * 8}
    rows = [
        {"case": "conv_vjp", "contender": "lax", "moved": moved, "KiB": 36.03, "kept": True},
        {"case": "step", "contender": "1 devices", "ms": 50.0},
        {"case": "step", "contender": "8 devices", "ms": 55.0},
        {"case": "Dask, conv", "contender": "ours", "tasks": 3, "s": 1, "CPU s": 2, "MiB": 10},
    ]
    page = devices.page([{"section": devices.SECTION, **row} for row in rows])
    assert "| conv_vjp, lax | 36.0 | all-reduce 36, all-gather 0 | yes |" in page
    assert "| 8 devices | 55.0 | 1.10 |" in page
    assert "| Dask, conv, ours | 3.00 | 1.00 | 2.00 | 10.0 |" in page
    assert devices.page([]) == ""


def test_the_reference_of_a_convolution_by_hand():
    case = Conv("hand", 1, (3,), 1, 1, (3,), stride=2)
    x, w, dy = (np.asarray(a, dtype=np.float32) for a in ([1, 2, 3], [10, 20, 30], [1, 5]))
    data = case.data()._replace(x=x.reshape(1, 3, 1), w=w.reshape(3, 1, 1), dy=dy.reshape(1, 2, 1))
    (y,) = numpy_peers.conv_reference(case, data, False)
    dx, dw = numpy_peers.conv_reference(case, data, True)
    np.testing.assert_array_equal(y.ravel(), [80, 80])
    np.testing.assert_array_equal(dx.ravel(), [20, 80, 100])
    np.testing.assert_array_equal(dw.ravel(), [10, 16, 2])


def test_the_cases_are_those_of_the_baselines():
    assert len(CONVS) == 13
    assert [case.label for case in CONVS[:2]] == [
        "16x64x64, 3 -> 32, 7x7",
        "4x224x224, 3 -> 64, 7x7, stride 2",
    ]
    assert [case.name for case in POOLS if case.in_goals] == ["max3s2", "max2", "avg2"]
    assert POOLS[0].output == (56, 56)


@pytest.mark.parametrize("wrong", [np.ones((2, 2)), np.full(4, np.nan), np.full(4, 1.01)])
def test_a_wrong_contender_is_reported_and_not_timed(wrong):
    results = sections.Results()
    both = [contender("right", lambda: np.ones(4)), contender("wrong", lambda: wrong)]
    sections.compare(results, "s", "c", both, (np.ones(4),), rounds=1, spin=0.0)
    assert [r["contender"] for r in results.rows] == ["right"]
    assert [f["contender"] for f in results.failures] == ["wrong"]


def test_pools_are_kept_apart_and_everybody_gets_a_first_turn():
    called = []
    names = {"a": "one", "b": "two", "c": "one"}
    all_of_them = [
        contender(name, lambda name=name: called.append(name), pool) for name, pool in names.items()
    ]
    ticks = []

    def clock(pool):
        def tick(each, number):
            assert each.pool == pool
            ticks.append(each.name)
            each.call()
            return 1e-2

        return tick

    found = timing.measure(all_of_them, rounds=2, budget=0.02, spin=0.0, clock=clock)
    assert found == {"a": [1e-2] * 2, "b": [1e-2] * 2, "c": [1e-2] * 2}
    # a warm-up and two turns for each, pool by pool, the order turned round by round
    assert ticks == [*"acacac", *"bbb", *"cacaca", *"bbb"]


def test_slow_calls_are_timed_twice_and_fast_ones_in_a_row():
    numbers = {"slow": [], "fast": []}

    def tick(each, number):
        numbers[each.name].append(number)
        return {"slow": 2.0, "fast": 1e-5}[each.name]

    both = [contender(name, lambda: None) for name in numbers]
    found = timing.measure(both, rounds=4, spin=0.0, clock=lambda pool: tick)
    assert found["slow"] == [2.0, 2.0]
    assert len(found["fast"]) == 4
    assert numbers["slow"] == [1, 1]
    assert set(numbers["fast"]) == {1, 100}


def test_the_spin_is_waited_out_at_each_change_of_pool(monkeypatch):
    waits = []
    monkeypatch.setattr(timing.time, "sleep", waits.append)
    both = [contender("a", lambda: None, "one"), contender("b", lambda: None, "two")]
    timing.measure(both, rounds=3)
    assert waits == [timing.SPIN] * 6


def test_torch_is_the_better_of_its_layouts():
    rows = [row("c", "torch contiguous", 3.0), row("c", "torch channels_last", 2.0)]
    rows.append(row("c", "arrayconv numpy", 5.0))
    times = goals.times_of(rows)
    assert goals.ratios(times, "arrayconv numpy", "torch") == {"c": 2.5}
    assert goals.ratios(times, "arrayconv numpy", "lax") == {}


def test_goals_are_geometric_means_over_their_own_cases():
    goal = goals.Goal("m", "conv forward", "arrayconv numpy", "lax", 1.0, ("a", "b"))
    rows = [row(case, "lax", 2.0) for case in "abz"]
    rows += [row(case, "arrayconv numpy", ms) for case, ms in {"a": 1.0, "b": 4.0, "z": 99}.items()]
    verdict = goal.judge(rows)
    assert verdict.value == pytest.approx(1.0)
    assert (verdict.cases, verdict.expected, verdict.worst) == (2, 2, "b 2.00")
    assert verdict.verdict == "met"
    assert replace(goal, limit=0.9).judge(rows).verdict == "missed"
    assert replace(goal, cases=("a", "b", "gone")).judge(rows).verdict == "partial"
    assert replace(goal, section="conv backward").judge(rows) is None


def test_goals_on_single_cases():
    rows = [row(name, "torch contiguous", 1.0) for name in ("1d", "depthwise")]
    rows += [row("1d", "arrayconv numpy", 2.9), row("depthwise", "arrayconv numpy", 7.0)]
    rows += [row("depthwise", "lax", 10.0)]
    rows += [row("1d", "im2col", 1.0, errors=[1e-7])]
    rows[2]["errors"] = [2.5e-7]
    rows += [
        {"section": "memory forward", "case": "1d", "contender": "arrayconv numpy", "MiB": 70.0}
    ]
    verdicts = {v.measure: v for v in goals.judge(rows)}
    found = {name: (round(v.value, 3), v.verdict) for name, v in verdicts.items()}
    assert found["any single case / its peer"] == (2.9, "partial")
    assert found["depthwise on NumPy / torch"] == (7.0, "partial")
    assert found["depthwise on NumPy / lax"] == (0.7, "partial")
    assert found["error / error of im2col"] == (2.5, "missed")
    assert found["NumPy, MiB beyond input and output"] == (70.0, "missed")


def test_every_goal_of_the_issue_is_there():
    limits = [(goal.contender, goal.peer, goal.section, goal.limit) for goal in goals.GOALS]
    assert len(limits) == len(set(limits)) == 16
    for goal in goals.GOALS:
        assert goal.section in report.COLUMNS
        assert (goal.contender, goal.peer) in report.COLUMNS[goal.section]


def test_the_page_has_ratios_means_and_marks():
    rows = [row("1d", "lax", 2.0), row("1d", "arrayconv jax", 1.0)]
    rows += [row("3d", "lax", 1.0), row("3d", "arrayconv jax", 2.0)]
    rows[0]["others"] = 0.5
    facts = machine.facts(2) | {"others": 0.4, "load after": 1.0}
    page = report.markdown({"facts": facts, "rows": rows, "failures": []})
    assert "| 16x4096, 32 -> 64, 9 * | 0.50 |" in page
    assert "| 2x24x24x24, 16 -> 32, 3x3x3 | 2.00 |" in page
    assert "| geometric mean | 1.00 |" in page
    assert "Other processes took 40% of the processor" in page
    json.dumps(facts)


def test_parts_of_the_time():
    # a product of its own size, columns of many windows, depthwise without a product
    cases = [case for case in CONVS if case.name in ("pointwise", "strided", "depthwise")]
    results = sections.Results()
    parts.parts(results, [replace(case, size=(16, 16)) for case in cases])
    found = {(row["case"], row["section"]): row for row in results.rows}
    for row in found.values():
        assert min(row[part] for part in parts.PARTS) >= 0
        assert sum(row[part] for part in parts.PARTS) == pytest.approx(1, abs=0.01)
    assert found["depthwise", "parts forward"]["product"] == 0
    assert found["depthwise", "parts forward"]["sums"] > 0.1
    assert found["pointwise", "parts forward"]["product"] > 0.3
    assert (
        found["strided", "parts forward"]["copies"] > found["pointwise", "parts forward"]["copies"]
    )
    facts = machine.facts(2) | {"others": 0.0, "load after": 1.0}
    page = report.markdown({"facts": facts, "rows": results.rows, "failures": []})
    assert "## Where the time goes" in page


@pytest.mark.parametrize("case", [c for c in CONVS if c.name in ("digits", "depthwise")])
def test_the_plan_beside_every_strategy_that_serves(case):
    results, tiny = sections.Results(), case.tiny()
    strategies.strategies(results, [tiny], rounds=1, budget=0, spin=0)
    assert results.failures == []
    found = {(r["library"], r["kind"]): {} for r in results.rows}
    for r in results.rows:
        found[r["library"], r["kind"]][r["contender"]] = r["reason"]
    assert {kind for library, kind in found if library == "numpy"} == set(strategies.KINDS)
    for timed in found.values():
        assert {"plan", "rows"} <= set(timed)
        assert not {"fft", "winograd"} & set(timed)
        assert len(set(timed.values())) == 1
    page = strategies.page(results.rows)
    assert page.count(case.label) == len(found)
    assert strategies.page([]) == ""


def test_others_share_of_the_processor():
    before = "cpu  1 1 1 1\ncpu0 100 0 0 900 0 0 0 0 55 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 1"
    assert machine.processor_seconds(before, {0}, 100) == (1.0, 10.0)
    assert machine.processor_seconds("cpu0 1 2 3 4 5 6 7 8", {0}, 1) == (27.0, 36.0)


def test_peak_memory_leaves_the_result_out():
    def doubled():
        scratch = np.ones(2**20, dtype=np.uint8)
        return scratch + scratch

    assert 2**20 <= extras.peak_beyond(doubled) < 2**20 + 2**14


def test_the_page_on_the_gpu():
    why = "no GPU that CuPy, torch or JAX can use was found"
    assert gpu.page({"skipped": why}) == f"## GPU\n\nNot run: {why}."
    rows = [row("1d", "arrayconv jax", 1.0), row("1d", "lax", 2.0)]
    page = gpu.page({"tf32": {"device": "a GPU", "rows": rows, "failures": []}})
    assert "### tf32" in page
    assert "| 16x4096, 32 -> 64, 9 | 0.50 |" in page


def test_the_gpu_part_runs_whichever_library_has_one(monkeypatch):
    library = ours.NUMPY._replace(name="cupy", pool="cupy")
    stand_in = Usable(library, lambda case, data, backward: [], timing.wall, "a stand-in")
    found = {"cupy": lambda mode, rehearsal: stand_in, "jax": lambda mode, rehearsal: None}
    monkeypatch.setattr(gpu, "LIBRARIES", found)
    found = gpu.measured("float32", "digits", True)
    assert found["device"] == "a stand-in"
    assert [r["section"] for r in found["rows"]] == ["conv forward", "conv backward"]
    assert found["failures"] == []
    monkeypatch.setattr(gpu, "LIBRARIES", {"cupy": lambda mode, rehearsal: None})
    assert gpu.measured("float32", "digits", True) == {
        "skipped": "no GPU that CuPy, torch or JAX can use was found"
    }


def test_every_mode_has_the_same_reference(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHMARK_REFERENCES", str(tmp_path))
    case = CONVS[0].tiny()
    first, again = (gpu.reference(case, case.data(), True) for _ in range(2))
    assert [path.name for path in tmp_path.iterdir()] == [f"{case.name}-backward.npz"]
    for a, b, true in zip(
        first, again, numpy_peers.conv_reference(case, case.data(), True), strict=True
    ):
        np.testing.assert_array_equal(a, true)
        np.testing.assert_array_equal(b, true)


def test_the_command_writes_its_files(tmp_path):
    pytest.importorskip("matplotlib")
    files = {kind: tmp_path / f"run.{kind}" for kind in ("json", "markdown", "plot")}
    arguments = [part for kind, path in files.items() for part in (f"--{kind}", str(path))]
    # no suffix that matplotlib would not know
    arguments[-1] = str(files["plot"].with_suffix(".png"))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "tiny", "--quick", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = json.loads(files["json"].read_text())
    assert {"arrayconv numpy", "im2col"} <= {r["contender"] for r in run["rows"]}
    assert done.stdout.rstrip() == files["markdown"].read_text().rstrip()
    assert "tiny call / textbook im2col" in done.stdout
    assert Path(arguments[-1]).stat().st_size > 1000


def test_an_unknown_section_is_named():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "pools"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no section pools" in done.stderr


@pytest.mark.parametrize("name", ["super_resolution", "unet"])
def test_networks_compute_what_float64_says(name):
    for needed in ("onnx", "onnxruntime", "torch"):
        pytest.importorskip(needed)
    from benchmarks import networks, onnx

    model, x, y = networks.exported(name)
    found = onnx.contenders(model, x.numpy(), 1)
    assert {"onnxruntime", "arrayconv numpy"} <= {c.name for c in found}
    for one in found:
        (worst,) = sections.errors(one, [y.numpy()])
        assert worst < 1e-5
