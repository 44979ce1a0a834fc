"""The process in which a subject is examined: ``child FD``; answers go to the file descriptor.

A fork of the subject's ends at once, memory has a limit, and what is printed is not seen.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import sys
import traceback
from typing import Any

import torch

from collapsebench.author.lint import examine, sources
from collapsebench.author.lint.checks import LintCheck
from collapsebench.author.lint.findings import CANNOT, FAILED, LintFinding
from collapsebench.author.lint.request import LintRequest
from collapsebench.job import tracebacks
from collapsebench.plan import userfile
from collapsebench.plan.parts import NotFound
from collapsebench.plan.wrapped import Refused
from collapsebench.quantizer import Incompatible
from collapsebench.settings import UserError

MEMORY = 8 * 2**30  # bytes that may be allocated
BUILDING_S = 10.0


def main(channel: int) -> None:
    """Reads a request, examines, answers."""
    mine = os.getpid()
    userfile.expendable()
    os.register_at_fork(before=_remember_fork, after_in_child=lambda: os._exit(0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    request = LintRequest(**json.load(sys.stdin))

    def say(**message: Any) -> None:
        if os.getpid() == mine:
            os.write(channel, json.dumps(message).encode() + b"\n")

    subject = _subject(request, say)
    if subject is not None:
        say(found=examine.described(subject))
        examine.examine(
            subject,
            lambda finding: say(finding=dataclasses.asdict(finding)),
            lambda check: say(started=_named(check)),
        )
    say(done=True)
    os._exit(0)  # whatever the subject left running


def _named(check: LintCheck) -> dict[str, str]:
    return {"check": check.name, "title": check.title, "right": check.right}


def _subject(request: LintRequest, say: Any) -> Any:
    """The subject, or None once the reason why there is none was said."""
    try:
        with examine.time_limit(BUILDING_S):
            return sources.named(request)
    except Refused as error:
        say(finding=dataclasses.asdict(examine.refused(error)))
    except NotFound as error:
        say(finding=_building(CANNOT, str(error)))
    except (Incompatible, UserError) as error:
        if error.__cause__ is None:
            say(refused=str(error))
        else:  # the constructor's own words
            say(finding=_building(FAILED, tracebacks.sentence(error.__cause__), error.__cause__))
    except examine.Overtime as error:
        text = f"building it and calling it once did not end within {BUILDING_S:g} s"
        say(finding=_building(FAILED, text, line=tracebacks.own_line(error)))
    except BaseException as error:  # whatever the subject's file or constructor raises
        say(finding=_building(FAILED, tracebacks.sentence(error), error))
    return None


def _building(
    verdict: str, text: str, error: BaseException | None = None, line: str = ""
) -> dict[str, Any]:
    trace = tracebacks.own_traceback(error) if error else ""
    line = tracebacks.own_line(error) if error else line
    return dataclasses.asdict(
        LintFinding("runs", examine.RUNS, verdict, text, trace=trace, line=line)
    )


def _remember_fork() -> None:
    frames = [f for f in traceback.extract_stack() if not tracebacks.is_hidden(f.filename)]
    examine.forks.append(
        f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
