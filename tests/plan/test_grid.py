import pytest

from collapsebench.plan import grid
from collapsebench.settings import UserError

SMALL = {
    "name": "small",
    "axes": {
        "method": ["dvae", "edvae"],
        "dataset": ["digits"],
        "codebook_size": [8, 16],
        "code_dim": [4],
        "edvae.clamp": [10.0, 20.0],
    },
    "replicates": {"seed": [42, 1]},
    "train": {"steps": 10},
    "override": [{"when": {"method": "edvae", "codebook_size": [16]}, "set": {"train.steps": 7}}],
    "exclude": [{"method": "dvae", "edvae.clamp": 20.0}],
}


def test_points_are_the_product_breadth_first_by_seed():
    points = grid.parse(SMALL, "small").points()
    assert len(points) == 2 * (2 * 2 + 2)  # dvae at one clamp, edvae at two, times two seeds
    assert [p.seed for p in points] == [42] * 6 + [1] * 6
    assert points[0].method == "dvae"


def test_an_override_holds_where_its_rule_matches():
    steps = {
        (p.method, p.codebook_size): p.settings["train.steps"]
        for p in grid.parse(SMALL, "small").points()
    }
    assert steps == {("dvae", 8): 10, ("dvae", 16): 10, ("edvae", 8): 10, ("edvae", 16): 7}


def test_axis_settings_are_marked_as_chosen():
    assert grid.parse(SMALL, "small").points()[0].chosen == ("edvae.clamp",)


def test_the_command_line_beats_overrides_and_replaces_axes():
    changed = grid.with_overrides(
        grid.parse(SMALL, "small"),
        axes={"codebook_size": [16], "method": []},
        seeds=[3],
        settings={"train.steps": 99, "edvae.clamp": 15.0},
    )
    points = changed.points()
    assert {p.settings["train.steps"] for p in points} == {99}
    assert {p.settings["edvae.clamp"] for p in points} == {15.0}
    assert {(p.codebook_size, p.seed) for p in points} == {(16, 3)}
    assert {p.method for p in points} == {"dvae", "edvae"}


@pytest.mark.parametrize(
    ("scale", "settings", "differs"),
    [
        ("cpu", {"train.steps": 600}, "train.steps is 600, not 16000"),
        ("cpu", {"train.steps": 16000, "train.points": 9, "edvae.clamp": 15.0}, ""),
        ("paper", {"train.batch_size": 32}, "train.batch_size is 32, not 128"),
        ("paper", {"vqvae.width": 16}, ""),  # which labels its cells
        ("demo", {"vqvae.width": 16}, "vqvae.width is 16, not 32"),
    ],
)
def test_what_is_known_of_a_scale_is_said_only_of_the_scale_as_it_is(scale, settings, differs):
    whole = grid.load("collapse", scale)
    note = grid.with_overrides(whole, settings=settings).note
    said = f"What is known of this scale does not hold of these rows: {differs}."
    assert note == (said if differs else whole.note)


@pytest.mark.parametrize("name", grid.names())
def test_every_shipped_grid_loads_at_paper_and_demo_scale(name):
    for scale in ("paper", "paper52k", "demo"):
        assert grid.load(name, scale).points()


def test_the_tables_grid_is_the_papers():
    points = grid.load("tables").points()
    assert len(points) == 54  # six methods, three datasets, three seeds
    assert {(p.codebook_size, p.code_dim) for p in points} == {(512, 16)}
    assert {p.seed for p in points} == {42, 1773, 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axis": {}}, "unknown key 'axis'; did you mean 'axes'?"),
        ({"axes": {"method": ["dvae"]}}, "[axes] lacks 'dataset'"),
        ({"axes": SMALL["axes"] | {"seed": [1]}}, "unknown axis 'seed'"),
        ({"axes": SMALL["axes"] | {"method": "dvae"}}, "must be a non-empty list, not 'dvae'"),
        ({"axes": SMALL["axes"] | {"code_dim": [0]}}, "code_dim must be a positive whole number"),
        ({"stages": ["train", "score"]}, "stage 'score' needs encode, prior, sample before it"),
        ({"stages": []}, "stages must be a list like"),
        ({"stages": ["trane"]}, "unknown stage 'trane'; did you mean 'train'?"),
        ({"replicates": {"seed": [-1]}}, "seed must be a list of whole numbers >= 0"),
        ({"override": [{"when": {}}]}, "an [[override]] has exactly 'when' and 'set'"),
        ({"override": [{"when": {"methd": "a"}, "set": {}}]}, "did you mean 'method'?"),
        ({"override": [{"when": {}, "set": {"train.step": 1}}]}, "did you mean 'steps'?"),
    ],
)
def test_a_bad_grid_is_refused_in_one_line(change, message):
    with pytest.raises(UserError) as caught:
        grid.parse(SMALL | change, "small")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_get_a_suggestion(tmp_path):
    with pytest.raises(UserError, match="unknown grid 'tabels'; did you mean 'tables'"):
        grid.load("tabels")
    with pytest.raises(UserError, match="no such grid file"):
        grid.load(str(tmp_path / "x.toml"))
    with pytest.raises(UserError, match="no scale 'papr'; did you mean 'paper'"):
        grid.load("tables", "papr")
    (tmp_path / "bad.toml").write_text("a = [1,")
    with pytest.raises(UserError, match=r"bad\.toml: not valid TOML"):
        grid.load(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("codebook_size>=16", 6),
        ("codebook_size=8 and method!=dvae", 4),
        ("method=dvae or seed=1", 8),
        ("edvae.clamp<15", 8),
        ("method == 'dvae' and seed == 42", 2),
    ],
)
def test_only_keeps_what_the_comparisons_say(expression, count):
    assert len(grid.only(grid.parse(SMALL, "small").points(), expression)) == count


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("codebook_size", "not a comparison"),
        ("codebok_size>3", "did you mean 'codebook_size'?"),
        ("codebook_size>dvae", "cannot compare codebook_size"),
        ("__import__('os')", "not a comparison"),
    ],
)
def test_only_refuses_anything_else(expression, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        grid.only(grid.parse(SMALL, "small").points(), expression)


def test_values_are_read_as_toml():
    assert grid.parse_value("1e-6") == 1e-6
    assert grid.parse_value("[1, 2]") == [1, 2]
    assert grid.parse_value("true") is True
    assert grid.parse_value("bf16") == "bf16"
