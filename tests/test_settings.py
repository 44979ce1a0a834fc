from dataclasses import dataclass, field, replace

import pytest

from collapsebench.settings import (
    PROTOCOLS,
    Prior,
    Sample,
    Score,
    Train,
    UserError,
    build,
    did_you_mean,
    digest,
    identity,
)


def test_digest_is_written_out():
    # sha256 of '{"a":[1,2],"b":"x"}', first 16 digits, by coreutils' sha256sum
    assert digest({"b": "x", "a": [1, 2]}) == "d0f56dda38d34376"


def test_digest_does_not_depend_on_key_order_but_on_types():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(1) != digest(1.0)
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


def test_build_converts_and_keeps_defaults():
    train = build(Train, {"steps": 10, "learning_rate": 1}, "train")
    assert (train.steps, train.learning_rate, train.batch_size) == (10, 1.0, 128)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stepz": 1}, "unknown setting 'train.stepz'; did you mean 'steps'?"),
        ({"steps": 0}, "bad value for 'train.steps': 0 (input should be greater than 0)"),
        ({"steps": "many"}, "bad value for 'train.steps': 'many'"),
        ({"precision": "fp16"}, "bad value for 'train.precision': 'fp16'"),
    ],
)
def test_build_refuses_in_one_line(values, message):
    with pytest.raises(UserError) as caught:
        build(Train, values, "train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_identity_leaves_out_what_does_not_decide_the_result():
    assert "points" not in identity(Train())
    assert "batch_size" not in identity(Sample())
    assert identity(Prior())["batch_size"] == 32


def test_a_new_option_at_its_legacy_value_orphans_nothing():
    @dataclass(frozen=True)
    class Before:
        a: int = 1

    @dataclass(frozen=True)
    class After:
        a: int = 1
        b: int = field(default=0, metadata={"legacy": 0})

    assert digest(identity(After())) == digest(identity(Before()))
    assert digest(identity(replace(After(), b=2))) != digest(identity(Before()))


def test_did_you_mean_suggests_or_lists():
    assert did_you_mean("edvea", ["edvae", "dvae"]) == "; did you mean 'edvae'?"
    assert did_you_mean("zzz", ["b", "a"]) == "; known: a, b"


def test_every_protocol_can_be_chosen():
    for name in PROTOCOLS:
        assert build(Score, {"protocol": name}, "score").protocol == name
