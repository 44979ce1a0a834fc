"""Files of methods that misbehave where they are imported or built."""

import os
import resource
import signal
import sys
from pathlib import Path

import psutil
import pytest

from collapsebench.plan import costs, userfile
from collapsebench.plan.forecast import Choice
from collapsebench.settings import UserError

FILE = '''"""A method."""

{top}
from dataclasses import dataclass

from collapsebench.quantizer import Incompatible, Quantizer


class Mine(Quantizer):
    label = "{label}"
    network = "vqvae"

    @dataclass(frozen=True)
    class Settings:
        nu: float = 1.0

    def __init__(self, codebook_size, code_dim, settings):
        {built}
        super().__init__(codebook_size, code_dim, settings)
'''
IMPORTED = {  # what the file does first -> what is said
    "raise ValueError('boom')": "mine.py:3 cannot be imported: ValueError: boom",
    "raise ValueError": "mine.py:3 cannot be imported: ValueError",
    "raise ValueError('a\\nb')": "mine.py:3 cannot be imported: ValueError: a",
    "assert False": "mine.py:3 cannot be imported: AssertionError",
    "1 / 0": "mine.py:3 cannot be imported: ZeroDivisionError: division by zero",
    "nowhere": "mine.py:3 cannot be imported: NameError: name 'nowhere' is not defined",
    "import no_such_package_here": "ModuleNotFoundError: No module named 'no_such_package_here'",
    "def (:": "mine.py:3 cannot be imported: SyntaxError",
    "x = '": "mine.py:3 cannot be imported: SyntaxError",
    "import sys; sys.exit(0)": "mine.py:3 cannot be imported: SystemExit: 0",
    "import sys; sys.exit('no')": "mine.py:3 cannot be imported: SystemExit: no",
    "raise SystemExit": "mine.py:3 cannot be imported: SystemExit",
    "import os; os._exit(0)": "mine.py cannot be imported: it ends the process",
    "import os; os._exit(1)": "mine.py cannot be imported: it ends the process",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": "it ends the process",
    "x = bytearray(2**60)": "mine.py:3 cannot be imported: MemoryError",
    "f = lambda: f(); f()": "mine.py:3 cannot be imported: RecursionError",
    "import helper": "mine.py imports its neighbour helper",
    "import helper.inner": "mine.py imports its neighbour helper",
    "from helper import X": "mine.py imports its neighbour helper",
    "from . import helper": "mine.py imports its neighbour helper",
    "from .helper import X": "mine.py imports its neighbour helper",
    "import folder": "mine.py imports its neighbour folder",
    "def f():\n    import helper": "mine.py imports its neighbour helper",
    "class Other(Quantizer): pass": "mine.py:3 cannot be imported: NameError",
    "import os; os.fork()": "mine.py cannot be imported: it forks this process",
    "import os, time; os.fork() or time.sleep(1e9)": "it forks this process",
    "import multiprocessing as m; m.get_context('fork').Process(target=int).start()": "it forks",
    "import threading, time; threading.Thread(target=time.sleep, args=(1e9,)).start()": (
        "mine.py cannot be imported: it leaves a thread running that is no daemon"
    ),
    "import os; os.closerange(0, 3)": "it closes standard input, output or error",
    "import os; os.close(1)": "it closes standard input, output or error",
    "import sys; sys.__stdout__.close()": "it closes standard input, output or error",
    "import signal, time; signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(1)": "it ends the",
    "import ctypes; ctypes.string_at(0)": "mine.py cannot be imported: it ends the process",
    "raise KeyboardInterrupt": "mine.py cannot be imported: it ends the process",
    "raise BaseException('boom')": "mine.py cannot be imported: it ends the process",
    "raise SystemExit([1, 2])": "mine.py:3 cannot be imported: SystemExit: [1, 2]",
    "raise ExceptionGroup('two', [ValueError(1)])": "ExceptionGroup: two (1 sub-exception)",
    "raise ValueError('x' * 10**6)": "mine.py:3 cannot be imported: ValueError: xxx",
    "raise type('E' * 10**5, (Exception,), {})": "mine.py:3 cannot be imported: EEE",
    "class E(Exception):\n    def __str__(self): raise ValueError\nraise E": (
        "mine.py:5 cannot be imported: E"
    ),
    "class E(Exception):\n    def __str__(self): return 5\nraise E": "mine.py:5 cannot be",
    "class E(Exception):\n    def __str__(self): import os; os._exit(0)\nraise E": (
        "mine.py cannot be imported: it ends the process"
    ),
    "class Odd:\n    @property\n    def __class__(self): raise ValueError('odd')\nodd = Odd()": (
        "mine.py:5 cannot be imported: ValueError: odd"
    ),
}
HUNGRY = {  # what takes up memory without end -> what is said
    "x = []\nwhile True: x.append(b'x' * 2**24)": "mine.py:4 cannot be imported: MemoryError: ",
    "x = []\nwhile True: x.extend(range(10**6))": "mine.py:4 cannot be imported: MemoryError: ",
    "x = 'x'\nwhile True: x += x": "mine.py:4 cannot be imported: MemoryError: it takes",
    "import numpy\nx = []\nwhile True: x.append(numpy.ones(2**20))": "mine.py:5 cannot be",
    "import torch\nx = []\nwhile True: x.append(torch.ones(2**20))": "mine.py:5 cannot be",
    "class X:\n    x = [0] * 2**40": "mine.py:4 cannot be imported: MemoryError: it takes",
}
LEFT_BEHIND = (  # what a file does that its user's process does not keep
    "import builtins; del builtins.print, builtins.open, builtins.sorted",
    "import sys; sys.stdout = sys.stderr = None",
    "import sys; sys.stdout = object()",
    "import sys; sys.path.clear(); sys.meta_path.clear()",
    "import os; os.chdir('/'); os.umask(0o777)",
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "import signal; signal.alarm(1)",
)
SAID = {  # a line of the class -> what is said of it
    "label = 5": "mine.py: bad value for 'label': 5 (input should be a valid string)",
    "label = ['a']": "mine.py: bad value for 'label': ['a'] (input should be a valid string)",
    "label = b'x'": "bad value for 'label': b'x'",
    "label = None": "bad value for 'label': None",
    "label = property(str)": "bad value for 'label': <property",
    "network = 5": "bad value for 'network': 5 (input should be a valid string)",
    "implementation = 'x'": "bad value for 'implementation': 'x' (input should be a valid integer)",
    "implementation = True": "bad value for 'implementation': True",
    "implementation = None": "bad value for 'implementation': None",
    "sources = 'numpy'": "bad value for 'sources': 'numpy' (input should be a valid tuple)",
    "sources = ['numpy']": "bad value for 'sources': ['numpy'] (input should be a valid tuple)",
    "sources = (5,)": "bad value for 'sources': (5,)",
    "sources = None": "bad value for 'sources': None",
    "sources = ('nowhere_at_all.x',)": "package 'nowhere_at_all.x', which is not installed",
    "sources = ('.x',)": "package '.x', which is not installed",
    "sources = ('',)": "package '', which is not installed",
    "for_dataset = 5": "bad value for 'for_dataset': 5",
    "for_dataset = {'digits': 5}": "bad value for 'for_dataset': {'digits': 5}",
    "for_dataset = {'digits': {'nope': 1}}": "unknown setting 'mine.nope'",
    "Settings = None": "mine.py: Settings must be a dataclass of plain values with defaults",
    "Settings = dict": "mine.py: Settings must be a dataclass of plain values with defaults",
    "Settings = dataclass(type('S', (), {'__annotations__': {'a': object}, 'a': object()}))": (
        "mine.py"
    ),
    "Settings = dataclass(type('S', (), {'__annotations__': {'a': float}}))": "bad value for",
    "dim_for = classmethod(lambda cls, k, settings=None: 1 / 0)": "ZeroDivisionError",
    "dim_for = classmethod(lambda cls, k, settings=None: 'x')": "must be None or a positive whole",
    "dim_for = classmethod(lambda cls, k, settings=None: -4)": "positive whole number up to 65,536",
    "dim_for = classmethod(lambda cls, k, settings=None: 10**12)": "up to 65,536, not 1000000",
    "dim_for = classmethod(lambda cls, k, settings=None: exit(3))": "SystemExit: 3",
}
AS_A_CLASS = {  # what a module does when its class is asked for -> what is said
    "import os; os.fork()": "hostile cannot be imported: it forks this process",
    "import threading, time; threading.Thread(target=time.sleep, args=(1e9,)).start()": (
        "hostile cannot be imported: it leaves a thread running that is no daemon"
    ),
    "import os; os._exit(0)": "hostile cannot be imported: it ends the process",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": "it ends the process",
    "import sys; sys.exit(0)": "hostile cannot be imported: SystemExit: 0",
    "x = bytearray(2**60)": "hostile cannot be imported: MemoryError",
    "input()": "hostile cannot be imported: EOFError",
    "x =": "hostile:1 cannot be imported: SyntaxError",
    "pass": "hostile:Mine: hostile has no class 'Mine'",
}


COMMANDS = (
    ["plan", "-m"],
    ["run", "--dry-run", "-m"],
    ["test-method"],
    ["try", "digits", "-m"],
)


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """``write_module("x = 1")``: the module ``hostile`` of the working folder."""
    monkeypatch.setattr(userfile, "_expendable", False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "hostile", raising=False)
    return lambda top: (tmp_path / "hostile.py").write_text(f"{top}\n")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """``write("mine.py", top="...")``: a file of a method, with neighbours."""
    monkeypatch.setattr(userfile, "_expendable", False)
    (tmp_path / "helper.py").write_text("X = 1\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__init__.py").touch()

    def write(name, top="", built="", label="Mine"):
        (tmp_path / name).write_text(FILE.format(top=top, built=built or "pass", label=label))

    return write


@pytest.mark.parametrize(("top", "line"), IMPORTED.items(), ids=[t[:60] for t in IMPORTED])
def test_what_cannot_be_imported_is_told_with_its_line(call, write, top, line):
    write("mine.py", top)
    call("plan", "-g", "demo", "-m", "mine.py").refuses(line)


@pytest.mark.parametrize(("top", "line"), HUNGRY.items(), ids=[t[:60] for t in HUNGRY])
def test_what_takes_up_memory_without_end_is_stopped(call, write, monkeypatch, top, line):
    monkeypatch.setattr(userfile, "MEMORY", 2**27)
    limit = resource.getrlimit(resource.RLIMIT_DATA)
    write("mine.py", top)
    call("plan", "-g", "demo", "-m", "mine.py").refuses(line)
    assert resource.getrlimit(resource.RLIMIT_DATA) == limit


@pytest.mark.parametrize("top", LEFT_BEHIND)
def test_what_a_process_has_one_of_is_put_back(call, write, tmp_path, top):
    mask = os.umask(0o022)
    interrupt = signal.getsignal(signal.SIGINT)
    write("mine.py", top)
    ended = call("plan", "-g", "demo", "-m", "mine.py")
    assert ended.code == 0, ended.err
    assert "1 jobs" in ended.out
    assert Path.cwd() == tmp_path
    assert signal.getsignal(signal.SIGINT) == interrupt
    assert signal.alarm(0) == 0
    assert os.umask(mask) == 0o022


@pytest.mark.parametrize(("said", "line"), SAID.items(), ids=[s[:60] for s in SAID])
def test_what_a_class_says_of_itself_has_its_kind(call, write, tmp_path, said, line):
    write("mine.py")
    path = tmp_path / "mine.py"
    content = path.read_text().replace("    def __init__", f"    {said}\n\n    def __init__")
    path.write_text(content)
    call("plan", "-g", "demo", "-m", "mine.py").refuses(line)


@pytest.mark.parametrize(
    "built",
    [
        "raise RuntimeError('boom')",
        "raise Incompatible('never')",
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "1 / 0",
        "bytearray(2**60)",
    ],
)
def test_what_cannot_be_built_costs_nothing_in_a_plan(write, tmp_path, built):
    write("mine.py", built=built)
    assert costs.encoder_channels(str(tmp_path / "mine.py"), 8, 4) == 0


def test_what_cannot_be_built_stops_no_plan(call, write):
    write("mine.py", built="import os; print('x' * 10**6); os._exit(0)")
    ended = call("plan", "-g", "demo", "-m", "mine.py", "-m", "dvae", "--json")
    assert ended.code == 0, ended.err
    assert ended.out.count('"job_id"') == 2


def test_a_neighbour_among_the_sources_may_be_imported(call, write, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    write("mine.py", top="import helper", label='Mine"\n    sources = ("helper",)\n    x = "')
    assert call("plan", "-g", "demo", "-m", "mine.py").code == 0


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "must define exactly one Quantizer; it defines none"),
        (b"x = '\xff'", "mine.py cannot be imported: UnicodeDecodeError"),
        (b"x = '\0'", "mine.py cannot be imported: SyntaxError"),
        (b"[" * 1000, "cannot be imported: "),
    ],
)
def test_what_is_no_method_is_refused(call, tmp_path, content, line):
    (tmp_path / "mine.py").write_bytes(content)
    call("plan", "-g", "demo", "-m", "mine.py").refuses(line)


def test_a_huge_file_is_not_read(call, tmp_path):
    with (tmp_path / "mine.py").open("wb") as file:
        file.truncate(3 * 2**30)
    call("plan", "-g", "demo", "-m", "mine.py").refuses("3,072 MiB are more than a text of 16 MiB")
    (tmp_path / "mine.py").rename(tmp_path / "mine.toml")
    call("plan", "-g", "mine.toml").refuses("3,072 MiB are more than a text of 16 MiB")


@pytest.mark.parametrize("name", ["my vq.py", "1.py", "edvae.py", "a-b.py", ".py"])
def test_the_name_of_a_file_must_be_one_of_a_method(call, write, name):
    write(name)
    call("plan", "-g", "demo", "-m", name).refuses(name)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("top", ["while True: pass", "import time; time.sleep(1e9)"])
def test_a_file_that_does_not_end_is_left_after_a_while(call, write, monkeypatch, command, top):
    monkeypatch.setattr(userfile, "LIMIT_S", 0.3)
    write("mine.py", top)
    call(*command, "mine.py").refuses("mine.py cannot be imported: it takes longer than 0 s")


@pytest.mark.parametrize(("top", "line"), AS_A_CLASS.items(), ids=[t[:60] for t in AS_A_CLASS])
def test_a_module_is_treated_like_a_file(call, write_module, top, line):
    write_module(top)
    call("plan", "-m", "hostile:Mine").refuses(line)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_module_that_does_not_end_is_left_after_a_while(call, write_module, monkeypatch, command):
    monkeypatch.setattr(userfile, "LIMIT_S", 0.3)
    write_module("import time; time.sleep(1e9)")
    line = "hostile cannot be imported: it takes longer than 0 s"
    call(*command, "hostile:Mine").refuses(line)


def test_what_a_copy_started_ends_with_it(write, tmp_path, monkeypatch):
    monkeypatch.setattr(userfile, "LIMIT_S", 0.3)
    started = tmp_path / "started"
    sleep = "str(subprocess.Popen(['sleep', '99']).pid)"
    top = f"import subprocess; open({str(started)!r}, 'w').write({sleep})"
    write("mine.py", f"{top}\nwhile True: pass")
    with pytest.raises(UserError, match="it takes longer than 0 s"):
        userfile.load(tmp_path / "mine.py", "mine")
    process = psutil.Process(int(started.read_text()))
    process.wait(5)


def test_a_file_that_asks_is_told_that_nobody_answers(call, write):
    write("mine.py", "input()")
    call("plan", "-m", "mine.py").refuses("mine.py:3 cannot be imported: EOFError")


def test_a_method_that_is_never_built_costs_nothing_in_a_plan(write, tmp_path, monkeypatch):
    monkeypatch.setattr(userfile, "LIMIT_S", 0.3)
    write("mine.py", built="while True: pass")
    assert costs.encoder_channels(str(tmp_path / "mine.py"), 8, 4) == 0


def test_methods_of_one_label_have_their_files_names_behind_it(call, write):
    for name in ("one.py", "two.py", "edvae_again.py"):
        write(name, label="EdVAE" if name.startswith("edvae") else "Mine")
    words = [word for name in ("one.py", "two.py", "edvae_again.py") for word in ("-m", name)]
    _, jobs = Choice("demo", methods=("edvae", *words[1::2])).jobs()
    labels = {job.method: job.label for job in jobs}
    assert labels == {"edvae": "EdVAE", "one": "Mine (one)", "two": "Mine (two)",
                      "edvae_again": "EdVAE (edvae_again)"}  # fmt: skip


def test_files_that_share_name_and_label_are_refused(call, write, tmp_path):
    write("mine.py")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(
            f"{(tmp_path / 'mine.py').read_text()}# {folder}"
        )
    words = ["plan", "-m", "a/mine.py", "-m", "b/mine.py"]
    call(*words).refuses("2 methods are called 'Mine', and their files alike: ")
