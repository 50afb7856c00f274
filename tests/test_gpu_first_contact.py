"""The command for the first GPU: what it carries, that no part can lose another, and that it ends in time."""

import json
import os
import signal
import sys
import time
import zipfile

import gpu_first_contact as command
import pytest
from gpu_first_contact import Part

HERE = f"cp{sys.version_info.major}{sys.version_info.minor}"
LINUX = "manylinux_2_17_x86_64"


@pytest.fixture(autouse=True)
def on_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(command.platform, "machine", lambda: "x86_64")


@pytest.mark.parametrize(
    "tags, wanted",
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        (f"{HERE}-{HERE}-{LINUX}", True),
        (f"py3-none-{LINUX}", True),
        (f"cp38-abi3-{LINUX}", True),
        (f"cp399-abi3-{LINUX}", False),
        (f"cp38-cp38-{LINUX}", False),
        (f"{HERE}-{HERE}-win_amd64", False),
        (f"{HERE}-{HERE}-manylinux_2_17_aarch64", False),
    ],
)
def test_wheels_that_fit(tags, wanted):
    assert command.fits(f"some_thing-1.0-{tags}.whl") is wanted


def test_only_missing_wheels_are_unpacked(tmp_path):
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    for name in (
        "numpy-1.0-py3-none-any",
        "not_there-1.0-py3-none-any",
        "nor_here-1.0-cp38-cp38-any",
    ):
        with zipfile.ZipFile(wheels / f"{name}.whl", "w") as wheel:
            wheel.writestr(f"{name.split('-')[0]}.py", "value = 5\n")
    said = command.unpack(wheels, site)
    assert [path.name for path in site.iterdir()] == ["not_there.py"]
    assert said["not_there-1.0-py3-none-any.whl"] == "unpacked"
    assert said["numpy-1.0-py3-none-any.whl"].startswith("not needed, ")
    assert "another machine" in said["nor_here-1.0-cp38-cp38-any.whl"]


def ran(tmp_path, *group):
    site, logs = tmp_path / "site", tmp_path / "logs"
    site.mkdir(exist_ok=True)
    logs.mkdir(exist_ok=True)
    return {part.name: came for part, came in command.run(group, site, logs)}


def code(name, text, seconds=30.0, **environment):
    return Part(name, ("-c", text), seconds, environment)


def test_a_part_that_fails_or_hangs_loses_nothing_of_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "GRACE", 1)
    hangs = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(60)"
    start = time.monotonic()
    came = ran(
        tmp_path,
        code("breaks", "raise ValueError('no such thing')"),
        code("hangs", hangs, 2.0),
        code("works", "print('noise'); print('{\"rows\": [1], \"failures\": []}')"),
        code("dies", "import os; os.abort()"),
    )
    assert time.monotonic() - start < 30
    assert [command.said(part) for part in came.values()] == [
        "failed with 1: ValueError: no such thing",
        "stopped at its limit; failed with -9: no output",
        "1 rows, 0 failures",
        "failed with -6: no output",
    ]
    found = {"wheels": {"a.whl": "unpacked"}, "parts": came}
    command.write(found, tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == found
    assert "| works | " in (tmp_path / "report.md").read_text()


def test_a_part_that_is_stopped_keeps_what_it_had(tmp_path):
    text = """
import time
print('{"rows": [1], "failures": []}', flush=True)
print('{"rows": [1, 2], "failures": []}', flush=True)
print('{"rows": [1, 2, 3', flush=True)
time.sleep(60)
"""
    came = ran(tmp_path, code("conv", text, 2.0))["conv"]
    assert came["result"]["rows"] == [1, 2]
    assert command.said(came) == "stopped at its limit; 2 rows, 0 failures"


@pytest.mark.parametrize("killed", [False, True])
def test_a_session_of_tests_that_is_stopped_says_what_passed(tmp_path, monkeypatch, killed):
    monkeypatch.setattr(command, "GRACE", 0.01 if killed else 60)
    (tmp_path / "test_it.py").write_text(
        "import time\ndef test_a(): pass\ndef test_b(): assert 0\ndef test_c(): time.sleep(60)\n"
    )
    arguments = (*command.PYTEST, "-p", "no:xdist", "--rootdir", str(tmp_path), str(tmp_path))
    # as in the background of a script
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        came = ran(tmp_path, Part("tests some", arguments, 8.0))["tests some"]
    finally:
        signal.signal(signal.SIGINT, before)
    assert came["late"]
    said = "1 passed, 1 failed, then no summary" if killed else "1 failed, 1 passed"
    assert said in command.said(came)
    assert any("::test_b" in line for line in came["failed"])
    assert not any("::test_a" in line for line in came["failed"])


def test_the_environment_of_a_part(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "carried_along.py").write_text("value = 7\n")
    text = """
import json, os
import arrayconv, carried_along, conftest
print(json.dumps({"carried": carried_along.value, "some": os.environ["SOME"]}))
"""
    came = ran(tmp_path, code("facts", text, SOME="thing"))["facts"]
    assert came["result"] == {"carried": 7, "some": "thing"}


@pytest.mark.parametrize("rehearse", [False, True])
def test_everything_ends_in_eight_minutes(rehearse):
    groups = command.parts(rehearse)
    # the parts of a group run at the same time, and one of them may be interrupted
    assert (
        sum(max(part.seconds for part in group) for group in groups) + command.GRACE
        <= command.LIMIT
    )
    names = [part.name for group in groups for part in group]
    assert len(set(names)) == len(names)
    assert names[0] == "facts"


def test_what_is_left_is_shared_and_nothing_runs_after_the_end(tmp_path, monkeypatch, capsys):
    slow = [[code(f"part {i}", "import time; time.sleep(60)")] for i in range(3)]
    monkeypatch.setattr(command, "parts", lambda rehearse: slow)
    monkeypatch.setattr(command, "LIMIT", 4)
    monkeypatch.setattr(command, "GRACE", 1)
    start = time.monotonic()
    assert command.main(["--out", str(tmp_path)]) == 0
    assert time.monotonic() - start < 20
    found = json.loads((tmp_path / "results.json").read_text())
    assert list(found["parts"]) == ["part 0"]
    assert "part 0: stopped at its limit" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
def test_the_page_has_tables_of_ratios_times_and_launches():
    row = {"section": "conv forward", "case": "1d", "contender": "arrayconv cupy native", "ms": 3.0}
    peer = row | {"contender": "torch channels_last", "ms": 2.0}
    sums = {"section": "sum to channels", "case": "(2, 3)", "contender": "one sum", "ms": 0.25}
    count = {"section": "launches", "case": "conv", "contender": "arrayconv cupy"}
    count |= {"launches": 6, "synchronisations": 0}
    done = {"status": 0, "late": False, "seconds": 1.0, "log": ""}
    result = {"device": "a GPU", "rows": [row, peer, sums, count], "failures": []}
    page = command.report({"wheels": {}, "parts": {"conv native": {**done, "result": result}}})
    assert "| 16x4096, 32 -> 64, 9 | 1.50 |" in page
    assert "| (2, 3) | one sum | 0.25 |" in page
    assert "| conv | arrayconv cupy | 6 | 0 |" in page
