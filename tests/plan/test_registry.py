import subprocess
import sys

import pytest

from collapsebench.plan import registry
from collapsebench.quantizer import Quantizer
from collapsebench.settings import PAPER_METHODS, UserError


def test_the_papers_methods_come_first_in_its_order():
    assert tuple(registry.names("methods")[:6]) == PAPER_METHODS


@pytest.mark.parametrize(
    ("name", "role"),
    [("edvae", "paper"), ("vq_vae", "modern"), ("kmeans", "floor"), ("continuous", "floor")],
)
def test_roles(name, role):
    assert registry.find("methods", name).role == role


def test_every_shipped_file_says_in_one_line_what_it_is():
    for kind in registry.KINDS:
        for name in registry.names(kind):
            assert len(registry.find(kind, name).summary) > 20


def test_names_are_listed_without_importing_anything_heavy():
    code = (
        "import sys\n"
        "from collapsebench.cli import listing\n"
        "listing.listing()\n"
        "print([m for m in ('torch', 'pandas', 'sklearn') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("edvea", "unknown method 'edvea'; did you mean 'edvae'"),
        ("nowhere/x.py", "no such method file"),
    ],
)
def test_unknown_words_are_refused(word, message):
    with pytest.raises(UserError, match=message):
        registry.find("methods", word)


def test_a_taken_name_is_refused(tmp_path):
    (tmp_path / "edvae.py").write_text("")
    with pytest.raises(UserError, match="the name 'edvae' is taken"):
        registry.find("methods", str(tmp_path / "edvae.py"))


@pytest.mark.parametrize(
    ("body", "defined"), [("", "none"), ("class A(Q): ...\nclass B(Q): ...", "A, B")]
)
def test_a_file_defines_exactly_one_method(tmp_path, body, defined):
    path = tmp_path / "mine.py"
    path.write_text(f"from collapsebench.quantizer import Quantizer as Q\n{body}\n")
    with pytest.raises(UserError, match=f"exactly one Quantizer; it defines {defined}"):
        registry.only_subclass(registry.find("methods", str(path)), Quantizer)


def test_the_source_hash_sees_the_file_and_the_packages_it_names(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("a = 1\n")
    first = registry.source_hash(path)
    assert registry.source_hash(path, ("json",)) != first
    path.write_text("a = 2\n")
    assert registry.source_hash(path) != first
    with pytest.raises(UserError, match="'no_such_package', which is not installed"):
        registry.source_hash(path, ("no_such_package",))
