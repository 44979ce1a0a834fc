"""Typical mistakes of an author: each a sentence with the author's line; the rest goes on."""

from pathlib import Path

import pytest

from collapsebench.author import promises
from collapsebench.job import apart, trial
from collapsebench.plan import registry
from tests.launch.jobs_at_work import CONTEXT

RIGHT = Path(__file__).with_name("own_method.py").read_text()
LOOKUP = "        z_q = self.embed(tokens)\n"
MISTAKES = {  # name -> what stands there, what is put in its place, what is said, the author's line
    "float_tokens": ("*z_e.shape[2:])", "*z_e.shape[2:]).float()",
                     "tensors used as indices must be long", "return self.codebook"),
    "changed_in_place": ("        flat = ", "        z_e.mul_(0.5)\n        flat = ",
                         "forward changed z_e in place", "def forward"),
    "loss_per_image": ("mse_loss(z_q, z_e.detach())",
                       'mse_loss(z_q, z_e.detach(), reduction="none").mean((1, 2, 3))',
                       "loss is (4,), must be 0-d", "loss = "),
    "no_embed": ("embed(", "look_up(",
                 "MyVQ must define embed(tokens)", "class MyVQ"),
    "wrong_shape": (LOOKUP, LOOKUP.replace(")\n", ").permute(0, 2, 3, 1)\n"),
                    "must match the size of tensor", "commitment = "),
    "returns_nothing": ("return Quantized(", "Quantized(",
                        "forward must return Quantized(z_q, tokens, loss, terms)", "def forward"),
    "returns_a_tuple": ("return Quantized(", "return (",
                        "forward must return Quantized(z_q, tokens, loss, terms)", "def forward"),
    "no_loss": ("tokens, loss, {", "tokens, None, {", "loss is None, must be a tensor", "loss = "),
    "no_label": ("    label =", "    title =", "set label = '...'", "class MyVQ"),
    "unknown_network": ('"vqvae"', '"vqvea"', "did you mean 'vqvae'?", "network = "),
    "thawed": ("(frozen=True)", "", "must be a dataclass with frozen=True", "@dataclass"),
    "no_dataclass": ("    @dataclass(frozen=True)\n", "", "a dataclass with frozen=True",
                     "class Settings"),
}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(name: str) -> tuple[str, str, str]:
        """Path of a file with the mistake, what is said of it, and the author's line."""
        right, wrong, sentence, line = MISTAKES[name]
        assert right in RIGHT
        path = tmp_path / f"{name}.py"
        path.write_text(RIGHT.replace(right, wrong))
        number = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if line in text)
        return str(path), sentence, f"{name}.py:{number}: {line}"

    return write


def test_the_quantizer_without_a_mistake_keeps_every_promise(tmp_path):
    (tmp_path / "own.py").write_text(RIGHT)
    assert not any(promises.run(registry.method_class(str(tmp_path / "own.py"))).values())


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_a_sentence_with_the_authors_line_and_the_rest_goes_on(written, name):
    path, sentence, line = written(name)
    messages = promises.run(registry.method_class(path))
    broken = [message for message in messages.values() if message]
    assert list(messages) == list(promises.CHECKS)
    assert 0 < len(broken) < len(messages)
    assert all(sentence in message and line in message for message in broken)
    assert all("\n" not in message for message in broken)


@pytest.mark.parametrize(
    "name",
    [
        "wrong_shape",
        "loss_per_image",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("float_tokens", "returns_nothing", "no_loss")
        ),
    ],
)
def test_run_tries_one_forward_before_anything_is_queued(tiny_job, written, monkeypatch, name):
    monkeypatch.setattr(apart.multiprocessing, "get_context", lambda method: CONTEXT)
    path, sentence, line = written(name)
    job = tiny_job(method=path)
    sentence = sentence.replace("(4,)", "(2,)")
    (said,) = trial.mistakes([job, job])
    assert sentence in said
    assert line in said


def test_shipped_methods_are_not_tried(tiny_job, monkeypatch):
    monkeypatch.setattr(registry, "method_class", None)
    assert trial.mistakes([tiny_job()]) == []
