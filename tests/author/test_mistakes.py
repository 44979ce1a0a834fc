"""Typical mistakes of an author: each a sentence with the author's line; the rest goes on."""

from pathlib import Path

import pytest

from collapsebench.author import promises
from collapsebench.job import trial
from collapsebench.plan import registry

FOLDER = Path(__file__).parent / "mistakes"
MISTAKES = {
    "float_tokens": (
        "tensors used as indices must be long",
        "float_tokens.py:50: return self.codebook",
    ),
    "changed_in_place": ("forward changed z_e in place", "changed_in_place.py:35: def forward"),
    "loss_per_image": ("loss is (4,), must be 0-d", "loss_per_image.py:42: loss = "),
    "no_embed": ("MyVQ must define embed(tokens)", "no_embed.py:23: class MyVQ"),
    "wrong_shape": ("must match the size of tensor", "wrong_shape.py:41: commitment = "),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_a_sentence_with_the_authors_line_and_the_rest_goes_on(name):
    messages = promises.run(registry.method_class(str(FOLDER / f"{name}.py")))
    sentence, line = MISTAKES[name]
    broken = [message for message in messages.values() if message]
    assert list(messages) == list(promises.CHECKS)
    assert 0 < len(broken) < len(messages)
    assert all(sentence in message and line in message for message in broken)
    assert all("\n" not in message for message in broken)


@pytest.mark.parametrize("name", ["float_tokens", "wrong_shape", "loss_per_image"])
def test_run_tries_one_forward_before_anything_is_queued(tiny_job, name):
    job = tiny_job(method=str(FOLDER / f"{name}.py"))
    sentence, line = (part.replace("(4,)", "(2,)") for part in MISTAKES[name])
    (said,) = trial.mistakes([job, job])
    assert sentence in said
    assert line in said


def test_shipped_methods_are_not_tried(tiny_job, monkeypatch):
    monkeypatch.setattr(registry, "method_class", None)
    assert trial.mistakes([tiny_job()]) == []
