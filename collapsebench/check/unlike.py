"""Why a cell of one side stands alone: how the nearest cell of the other side differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from collapsebench.check import sides
from collapsebench.check.rows import CELL, CellKey
from collapsebench.check.select import Selection

MOST = 3  # differences that are named

OTHER_VERSION = "the same settings, but code or data of another version"
OTHER_PROTOCOL = "measured there by another protocol"
NOT_MEASURED = "trained there, but without such a value"

SettingValues = Mapping[str, Any]  # name of a setting -> its value


@dataclass(frozen=True)
class SideCells:
    """The cells of a side.

    Attributes:
        facts: cell without its protocol -> its settings.
        measured: cells that have a value of some metric, protocol and all.
    """

    facts: Mapping[CellKey, SettingValues]
    measured: frozenset[CellKey]


def cells(side: Selection, free: Iterable[str]) -> SideCells:
    """The cells of a side; settings that were asked for, ``free``, are no difference."""
    free, found = set(free), {}
    for row in sides.first_rows(side.runs).values():
        found[tuple(row[name] for name in CELL[:-1])] = sides.kept(sides.facts(row), free)
    rows = side.metrics.fillna({"protocol": ""}).drop_duplicates(CELL)
    return SideCells(found, frozenset(rows[CELL].itertuples(index=False, name=None)))


def why_alone(key: CellKey, own: SideCells, others: SideCells) -> str:
    """Why the other side has nothing beside a cell: "there train.steps=500, here 1000"."""
    if key[:-1] in others.facts:
        protocols = {other[-1] for other in others.measured if other[:-1] == key[:-1]}
        return OTHER_PROTOCOL if protocols - {"", key[-1]} and key[-1] else NOT_MEASURED
    apart = nearest(own.facts.get(key[:-1], {}), others.facts.values())
    return said(apart, "there {name}={other}, here {own}") or OTHER_VERSION


def why_none(own: SideCells, others: SideCells) -> str:
    """Why two sides have no cell in common: "train.steps (1000 and 500)"."""
    if own.facts.keys() & others.facts.keys():
        return "their protocols"
    pairs = (nearest(facts, others.facts.values()) for facts in own.facts.values())
    apart = min(pairs, key=weight, default={})
    return said(apart, "{name} ({own} and {other})") or "the version of their code or data"


def nearest(own: SettingValues, others: Iterable[SettingValues]) -> dict[str, tuple[Any, Any]]:
    """What the most similar of some cells has otherwise: name -> (own value, its value)."""
    return min((differences(own, other) for other in others), key=weight, default={})


def differences(own: SettingValues, other: SettingValues) -> dict[str, tuple[Any, Any]]:
    """Names of unlike settings, those of a method or network by its own name alone."""
    names = [name for name in {**own, **other} if name.partition(".")[0] not in sides.GROUPS]
    names += [group for group in sides.GROUPS if group in {**own, **other}]
    return {
        name: (own.get(name), other.get(name))
        for name in dict.fromkeys(names)
        if own.get(name) != other.get(name)
    }


def weight(apart: Mapping[str, Any]) -> tuple[int, int]:
    """How unlike: another dataset, size or method before any other setting."""
    return sum(name in sides.COLUMNS for name in apart), len(apart)


def said(apart: Mapping[str, tuple[Any, Any]], form: str) -> str:
    """Differences in words; where a column differs, those of settings follow from it."""
    names = [name for name in sides.COLUMNS if name in apart] or sorted(apart)
    texts = [form.format(name=name, own=apart[name][0], other=apart[name][1]) for name in names]
    more = [f"and {len(texts) - MOST} more"] if len(texts) > MOST else []
    return ", ".join([*texts[:MOST], *more])
