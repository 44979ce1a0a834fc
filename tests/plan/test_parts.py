"""Vectors, tokens and losses are told apart in whatever form they are returned."""

from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from collapsebench.plan import parts

B, N, D, Q = 7, 20, 8, 3
Z = torch.randn(B, N, D, requires_grad=True)
VECTORS, TOKENS, LOSS = Z * 2, torch.randint(64, (B, N)), Z.square().mean()
Named = namedtuple("Named", "loss z_q ids")


@dataclass
class Output:
    quantized: object
    loss: object
    perplexity: object
    indices: object


def found(output, positions=(B, N), **named):
    leaves = parts.leaves(output)
    roles = parts.roles(leaves, Z, positions, named)
    return roles, leaves


@pytest.mark.parametrize(
    "output",
    [
        (VECTORS, TOKENS, LOSS),
        (LOSS, TOKENS, VECTORS),
        (VECTORS, LOSS, (torch.tensor(3.0), torch.rand(B * N, 64), TOKENS.flatten()[:, None])),
        {"x": VECTORS, "y": {"z": TOKENS}, "w": [LOSS]},
        Named(LOSS, VECTORS, TOKENS),
        Output(VECTORS, LOSS, torch.tensor(3.0), TOKENS),
        SimpleNamespace(out=VECTORS, codes=TOKENS, aux=LOSS),
        (Z, VECTORS, TOKENS, LOSS),
    ],
    ids=["tuple", "turned", "taming", "nested", "named", "dataclass", "object", "input too"],
)
def test_parts_are_found_in_any_order_and_form(output):
    roles, leaves = found(output)
    assert leaves[roles.vectors] is VECTORS
    assert torch.equal(roles.form.normal(roles.tokens_of(leaves), (B, 4, 5)), TOKENS.view(B, 4, 5))
    assert roles.loss_of(leaves, Z) == LOSS


@pytest.mark.parametrize(
    ("shape", "flat"),
    [((B, N, Q), False), ((Q, B, N), False), ((B, Q, N), False), ((B * N, Q), True)],
    ids=["last", "first", "between", "flat"],
)
def test_several_codebooks_may_stand_on_any_axis(shape, flat):
    tokens = torch.randint(64, shape)
    roles, leaves = found((VECTORS, tokens, LOSS))
    normal = roles.form.normal(roles.tokens_of(leaves), (B, 4, 5))
    assert roles.form.codebooks == Q
    assert roles.form.flat == flat
    assert normal.shape == (B, 4, 5, Q)
    assert torch.equal(roles.form.native(normal, (B, N)), tokens)
    first = tokens.select(shape.index(Q), 0)
    assert torch.equal(normal[..., 0].flatten(), first.flatten())


def test_a_tensor_for_each_codebook_is_one_of_several():
    lists = [torch.randint(64, (B, N)) for _ in range(Q)]
    roles, leaves = found((VECTORS, lists, LOSS))
    assert torch.equal(roles.tokens_of(leaves), torch.stack(lists, -1))
    assert roles.form.codebooks == Q


@pytest.mark.parametrize(
    ("losses", "value"),
    [
        ({"a": LOSS, "b": 2 * LOSS}, 3),
        ({"a": LOSS, "b": 2 * LOSS, "c": 3 * LOSS}, 3),
        ({"commit": LOSS, "loss": 5 * LOSS}, 5),
        ({"a": torch.stack([LOSS, LOSS])}, 2),
        ({"a": LOSS, "usage": torch.tensor(9.0)}, 1),
        ({"a": LOSS.expand(B)}, 1),
        ({}, 0),
    ],
    ids=["sum", "total and its parts", "named total", "vector", "no statistic", "sample", "none"],
)
def test_the_loss_is_what_a_trainer_would_add(losses, value):
    roles, leaves = found((VECTORS, TOKENS, losses))
    assert float(roles.loss_of(leaves, Z).detach()) == pytest.approx(value * float(LOSS.detach()))


def test_rounded_ids_are_tokens_and_said():
    roles, _ = found((VECTORS, TOKENS.float(), LOSS))
    assert roles.rounded


def test_rows_with_a_single_one_are_tokens():
    rows = torch.nn.functional.one_hot(TOKENS.flatten(), 64).float()
    roles, leaves = found((LOSS, VECTORS, torch.tensor(3.0), rows))
    assert torch.equal(roles.tokens_of(leaves), TOKENS.flatten())
    assert roles.form.normal(roles.tokens_of(leaves), (B, 4, 5)).shape == (B, 4, 5)


def test_outputs_name_what_cannot_be_told():
    other = torch.randint(9, (B, N))
    roles, leaves = found((VECTORS, 3 * VECTORS, other, TOKENS), vectors="1", tokens="3")
    assert torch.equal(leaves[roles.vectors], 3 * VECTORS)
    assert roles.tokens_of(leaves) is TOKENS


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ((TOKENS, LOSS), r"vectors not found: .*0 int64 \(7, 20\).*--outputs vectors=PLACE"),
        ((VECTORS, LOSS), r"tokens not found: .*\(7, 20\).*--outputs tokens=PLACE"),
    ],
)
def test_what_is_missing_is_said_with_what_there_was_and_the_option(output, said):
    with pytest.raises(parts.NotFound, match=said):
        found(output)
