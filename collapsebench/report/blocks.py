"""Every table and figure that a grid has something for, found by file, in the page's order."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

from collapsebench.report import sections, views
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure
from collapsebench.report.tables import Log, Table
from collapsebench.report.what_ran import what_ran

Block = Table | Figure | Log


@dataclass(frozen=True)
class Blocks:
    """What the page shows: section -> its tables, figures and logs, in order."""

    sections: dict[str, list[Block]]

    def all(self) -> Iterator[Block]:
        """Every block, in order."""
        for blocks in self.sections.values():
            yield from blocks


def found() -> list[ModuleType]:
    """The modules of the folder ``views``, by their place on the page."""
    names = [module.name for module in pkgutil.iter_modules(views.__path__)]
    modules = [importlib.import_module(f"{views.__name__}.{name}") for name in names]
    return sorted(modules, key=lambda module: module.place)


def collect(data: ReportData, without: Sequence[str] = (), only: Sequence[str] = ()) -> Blocks:
    """Builds the blocks of all sections, or of all but some, or of some only."""
    found_blocks: dict[str, list[Block]] = {}
    for module in found():
        shown = module.section not in without and (not only or module.section in only)
        if shown and (blocks := module.build(data)):
            named = [_with_ran(data, module.section, block) for block in blocks]
            found_blocks.setdefault(module.section, []).extend(named)
    return Blocks(found_blocks)


def _with_ran(data: ReportData, section: str, block: Block) -> Block:
    """The block, saying what ran: in the codebooks of its section, unless it says so itself."""
    if isinstance(block, Log) or block.ran or section in sections.OF_JOBS:
        return block
    return replace(block, ran=what_ran(data, data.focus if section in sections.IN_FOCUS else ()))
