"""Grid files that are no grids: one line that says where and what, before anything is begun."""

import pytest

AXES = 'method = ["vq_vae"]\ndataset = ["digits"]\ncodebook_size = [8]\ncode_dim = [4]\n'
GOOD = f"[axes]\n{AXES}"


def with_axis(name, value):
    """The good grid, one of its axes replaced."""
    lines = [line for line in AXES.splitlines() if not line.startswith(f"{name} ")]
    return "[axes]\n" + "\n".join([*lines, f"{name} = {value}", ""])


TOP = {  # a line before the tables -> what is said
    "stages = 3": "stages must be a list, not 3",
    'stages = "train"': "stages must be a list, not 'train'",
    "stages = []": "stages must be a list like ['train', 'encode'], not []",
    "stages = [1]": "stages.0 must be a text, not 1",
    'stages = [["train"]]': "stages.0 must be a text, not ['train']",
    'stages = ["trane"]': "unknown stage 'trane'; did you mean 'train'?",
    'stages = ["encode"]': "stage 'encode' needs train before it",
    "stages = {}": "stages must be a list, not {}",
    "title = 7": "title must be a text, not 7",
    "title = [1]": "title must be a text, not [1]",
    "title = 2020-01-01": "title must be a text, not datetime.date(2020, 1, 1)",
    "reproduces = 1": "reproduces must be a list, not 1",
    "reproduces = [1]": "reproduces.0 must be a text, not 1",
    'reproduces = "table1"': "reproduces must be a list, not 'table1'",
    "schema = 2": "schema must be 1, not 2",
    "schema = 0": "schema must be 1, not 0",
    "schema = true": "schema must be a whole number, not True",
    "schema = 1.0": "schema must be a whole number, not 1.0",
    'schema = "1"': "schema must be a whole number, not '1'",
    "schema = [1]": "schema must be a whole number, not [1]",
    "name = 3": "name must be a text, not 3",
    'name = ""': "name must be a name without slashes",
    'name = "../x"': "name must be a name without slashes",
    'name = "a/b"': "name must be a name without slashes",
    'name = "/tmp/x"': "name must be a name without slashes",
    'name = ".."': "name must be a name without slashes",
    'name = ".hidden"': "name must be a name without slashes",
    'name = "-x"': "name must be a name without slashes",
    'name = "a\\\\b"': "name must be a name without slashes",
    'name = "a\\nb"': "name must be a name without slashes",
    'name = "a\\u0000b"': "name must be a name without slashes",
    'name = "\\u202Eb"': "name must be a name without slashes",
    f'name = "{"x" * 300}"': "name must have at most 100 bytes",
    f'name = "{"é" * 60}"': "name must have at most 100 bytes",
    "default_scale = 1": "default_scale must be a text, not 1",
    'default_scale = "papr"': "no scale 'papr'; did you mean 'paper'?",
    "train = []": "train must be a table, not []",
    "train = 3": "train must be a table, not 3",
    "train = true": "train must be a table, not True",
    "data = [1]": "data must be a table, not [1]",
    "prior = 2020-01-01": "prior must be a table, not datetime.date(2020, 1, 1)",
    'score = "full"': "score must be a table, not 'full'",
    "override = 3": "override must be a list, not 3",
    "override = [3]": "override.0 must be a table, not 3",
    "override = [[]]": "override.0 must be a table, not []",
    "override = [{}]": "an [[override]] has exactly 'when' and 'set', not []",
    "override = [{when = 3, set = {}}]": "override.0.when must be a table, not 3",
    "override = [{when = {}, set = [1]}]": "override.0.set must be a table, not [1]",
    "override = [{when = {}, set = {}, also = {}}]": "an [[override]] has exactly 'when' and 'set'",
    "override = [{when = {}, set = {steps = 1}}]": "'steps' is not a setting",
    'override = [{when = {}, set = {"train.step" = 1}}]': "did you mean 'steps'?",
    "override = [{when = {metod = 1}, set = {}}]": "did you mean 'method'?",
    "override = [{when = {seed = 1}, set = {}}]": "unknown axis 'seed' in a rule",
    "exclude = 1": "exclude must be a list, not 1",
    "exclude = [1]": "exclude.0 must be a table, not 1",
    "exclude = [{metod = 1}]": "did you mean 'method'?",
    "exclude = [{method = 2020-01-01}]": "must be a number, a text, true or false",
    "scale = 3": "scale must be a table, not 3",
    "scale = []": "scale must be a table, not []",
    "axis = 3": "unknown key 'axis'; did you mean 'axes'?",
    "metrics = {}": "unknown key 'metrics'",
    '"a\\nb" = 1': r"unknown key 'a\nb'",
    f'"{"k" * 5000}" = 1': "unknown key 'kkk",
    "replicates = 3": "replicates must be a table, not 3",
    "replicates = [1]": "replicates must be a table, not [1]",
    "replicates = {sed = [1]}": "unknown key 'sed' in [replicates]; did you mean 'seed'?",
    "replicates = {seed = 1}": "seed must be a list of whole numbers >= 0",
    "replicates = {seed = []}": "seed must be a list of whole numbers >= 0",
    "replicates = {seed = [-1]}": "seed must be a list of whole numbers >= 0",
    "replicates = {seed = [1.0]}": "seed must be a list of whole numbers >= 0",
    "replicates = {seed = [true]}": "seed must be a list of whole numbers >= 0",
    'replicates = {seed = ["1"]}': "seed must be a list of whole numbers >= 0",
    "replicates = {seed = [4294967296]}": "and below 2**32, not 4294967296",
    "replicates = {seed = [99999999999999999999]}": "and below 2**32",
    "replicates = {seed = [inf]}": "must be a finite number",
    "replicates = {seed = 2020-01-01}": "must be a number, a text, true or false",
    "a = [1,": "not valid TOML",
    "stages = [1, 2": "not valid TOML",
    "a = 1\na = 2": "not valid TOML",
    f"a = {'9' * 5000}": "not valid TOML",
    f"a = {'[' * 10000}": "not valid TOML: nested too deeply",
    f"a = {'{b = ' * 10000}": "not valid TOML",
    f"title = {'[' * 200}{']' * 200}": "title must be a text",
    f"replicates = {{seed = [{'[' * 300}{']' * 300}]}}": "is nested too deeply",
    f"schema = 0x{'f' * 5000}": "schema must be",
    f"{'.'.join(['a'] * 20000)} = 1": "not valid TOML: nested too deeply",
    f"title = {{{'.'.join(['a'] * 20000)} = 1}}": "not valid TOML: nested too deeply",
    "exclude = [{method = {a = 1}}]": "a rule: method must be a name, not {'a': 1}",
    "exclude = [{method = [['vq_vae']]}]": "a rule: method must be a name, not ['vq_vae']",
    "exclude = [{method = 'vq_va'}]": "a rule: unknown method 'vq_va'; did you mean 'vq_vae'?",
    "exclude = [{dataset = ['digits', 'digts']}]": "a rule: unknown dataset 'digts'; did you mean",
    "exclude = [{'train.stps' = 1}]": "a rule: unknown setting 'train.stps'; did you mean 'steps'?",
    "override = [{when = {codebook_size = '8'}, set = {}}]": "a rule: codebook_size must be a",
    "override = [{when = {code_dim = true}, set = {}}]": "a rule: code_dim must be a positive",
    "override = [{when = {network = 'dale'}, set = {}}]": "unknown network 'dale'; did you mean",
    'default_scale = "a\\nb"': "has no scale",
    "\x00": "not valid TOML",
}
TABLES = {  # a table after the axes -> what is said
    "[scale]\ndemo = 3": "scale.demo must be a table, not 3",
    "[scale.demo]\nnote = 3": "scale.demo.note must be a text, not 3",
    "[scale.demo]\nnote = ['x']": "scale.demo.note must be a text",
    "[scale.demo]\nstages = 'train'": "scale.demo.stages must be a list",
    "[scale.demo]\nstages = ['score']": "stage 'score' needs",
    "[scale.demo]\noverride = 3": "scale.demo.override must be a list, not 3",
    "[scale.demo]\noverride = [1]": "scale.demo.override.0 must be a table",
    "[scale.'']\n'train.steps' = 3": "must be a name without slashes",
    "[scale.'../x']\n'train.steps' = 3": "must be a name without slashes",
    '[scale."a\\nb"]\nnote = "x"': "must be a name without slashes",
    "[scale.demo]\nsteps = 3": "'steps' is not a setting",
    "[scale.demo]\n'train.step' = 3": "did you mean 'steps'?",
    "[scale.demo]\n'train.steps' = 2020-01-01": "must be a number, a text, true or false",
    "[scale.demo]\n'train.steps' = inf": "must be a finite number",
    "[scale.demo]\n'axes.method' = 'dvae'": "axis 'method' must be a non-empty list",
    "[scale.demo]\n'axes.code_dim' = [0]": "code_dim must be a positive whole number",
    "[scale.demo]\n'axes.depth' = [0]": "unknown axis 'depth'",
    "[scale.demo]\n'replicates.seed' = 4": "seed must be a list of whole numbers",
    "[scale.demo]\n'replicates.seed' = [-4]": "seed must be a list of whole numbers",
    "[scale.demo.train]\nsteps = 3": "'train' is not a setting",
    "[train]\nstep = 3": "unknown setting 'train.step'; did you mean 'steps'?",
    "[train]\nsteps = true": "bad value for 'train.steps': True",
    "[train]\nsteps = '60'": "bad value for 'train.steps': '60' (a text",
    "[train]\nsteps = 1.5": "bad value for 'train.steps': 1.5",
    "[train]\nsteps = 0": "bad value for 'train.steps': 0",
    "[train]\nsteps = -1": "bad value for 'train.steps': -1",
    "[train]\nsteps = 12345678901234567890": "bad value for 'train.steps': 12345678901234567890",
    "[train]\nsteps = [1]": "bad value for 'train.steps': [1]",
    "[train]\nsteps = {a = 1}": "bad value for 'train.steps'",
    "[train]\nsteps = 2020-01-01": "must be a number, a text, true or false",
    "[train]\nsteps = inf": "must be a finite number",
    "[train]\nlearning_rate = inf": "must be a finite number",
    "[train]\nlearning_rate = nan": "must be a finite number",
    "[train]\nlearning_rate = 0": "bad value for 'train.learning_rate'",
    "[train]\nlearning_rate = true": "bad value for 'train.learning_rate': True",
    "[train]\nlearning_rate = '1e-3'": "bad value for 'train.learning_rate': '1e-3' (a text",
    "[train]\nanneal = 3": "bad value for 'train.anneal': 3",
    "[train]\nanneal = 'none'": "bad value for 'train.anneal': 'none'",
    "[train]\npoints = 501": "bad value for 'train.points': 501",
    "[data]\npath = 3": "bad value for 'data.path': 3",
    "[prior]\ndropout = 2": "bad value for 'prior.dropout': 2",
    "[prior]\ndropout = true": "bad value for 'prior.dropout': True",
    "[score]\nk = 0": "bad value for 'score.k': 0",
    "[score]\nprotocol = 'fulll'": "bad value for 'score.protocol'",
    "[sample]\nseed = -1": "bad value for 'sample.seed': -1",
    "[[override]]\nwhen = {}\nset = {'vq_vae.beta' = 'x'}": "bad value for 'vq_vae.beta'",
    "[[override]]\nwhen = {}\nset = {'vq_vae.bta' = 1}": "unknown setting 'vq_vae.bta'",
    "[[override]]\nwhen = {}\nset = {'edvae.beta' = 'x'}": "bad value for 'edvae.beta': 'x'",
    "[[override]]\nwhen = {}\nset = {'dvae.__init__' = 1}": "unknown setting 'dvae.__init__'",
    "[[override]]\nwhen = {}\nset = {'dalle.width' = -3}": "bad value for 'dalle.width': -3",
    "[[override]]\nwhen = {}\nset = {'vq_va.beta' = 1}": "unknown setting 'vq_va.beta'",
}
AXIS_VALUES = {
    ("method", "[1]"): "method must be a name, not 1",
    ("method", "'vq_vae'"): "axis 'method' must be a non-empty list",
    ("method", "[]"): "axis 'method' must be a non-empty list",
    ("method", "[true]"): "method must be a name, not True",
    ("method", "[['vq_vae']]"): "method must be a name, not ['vq_vae']",
    ("method", "['vq_va']"): "unknown method 'vq_va'; did you mean 'vq_vae'?",
    ("method", "['']"): "unknown method ''",
    ("method", r"['../x']"): "unknown method '../x'",
    ("method", '["a\\u0000.py"]'): r"unknown method 'a\x00.py'",
    ("method", "['nowhere.py']"): "no such method file: nowhere.py",
    ("method", "[':']"): "unknown method ':'",
    ("method", "['a:']"): "unknown method 'a:'",
    ("method", "['..a:B']"): "unknown method '..a:B'",
    ("method", "['no_such_package_here:B']"): "no module named 'no_such_package_here'",
    ("method", "['json:Nothing']"): "json has no class 'Nothing'",
    ("method", "['json:JSONDecoder']"): "is no nn.Module",
    ("method", "['builtins:int']"): "builtins:int is built into Python",
    ("dataset", "[3]"): "dataset must be a name, not 3",
    ("dataset", "['digit']"): "did you mean 'digits'?",
    ("dataset", "['nowhere.py']"): "no such dataset file: nowhere.py",
    ("network", "[3.5]"): "network must be a name, not 3.5",
    ("network", "['dale']"): "did you mean 'dalle'?",
    ("codebook_size", "[0]"): "codebook_size must be a positive whole number up to 16,777,216",
    ("codebook_size", "[-8]"): "codebook_size must be a positive whole number",
    ("codebook_size", "[8.0]"): "codebook_size must be a positive whole number",
    ("codebook_size", "['8']"): "codebook_size must be a positive whole number",
    ("codebook_size", "[true]"): "codebook_size must be a positive whole number",
    ("codebook_size", "[1000000000000]"): "codebook_size must be a positive whole number up to",
    ("codebook_size", f"[0x{'f' * 5000}]"): "int that is too long to print",
    ("code_dim", "[100000]"): "code_dim must be a positive whole number up to 65,536",
    ("code_dim", "[4, 0]"): "code_dim must be a positive whole number",
    ("code_dim", "[[4]]"): "code_dim must be a positive whole number",
    ("depth", "[1]"): "unknown axis 'depth'",
    ("seed", "[1]"): "unknown axis 'seed'",
    ('"train.step"', "[1]"): "unknown setting 'train.step'; did you mean 'steps'?",
    ('"train.steps"', "['x']"): "bad value for 'train.steps': 'x'",
    ('"vq_vae.beta"', "[nan]"): "must be a finite number",
    ('"vq_vae.beta"', "[[1]]"): "bad value for 'vq_vae.beta': [1]",
}
WHOLE = {
    "": "[axes] lacks 'method'",
    "axes = 3": "axes must be a table, not 3",
    "axes = []": "axes must be a table, not []",
    "[axes]": "[axes] lacks 'method'",
    "[[axes]]": "axes must be a table",
    "[axes]\nmethod = ['vq_vae']": "[axes] lacks 'dataset'",
    with_axis("codebook_size", [*range(1, 1001)]) + f"'train.steps' = {[*range(1, 1001)]}": (
        "asks for 3,000,000 jobs; at most 500,000"
    ),
}


def ids(cases):
    return [" ".join(str(case).split())[:60].strip() or "nothing" for case in cases]


@pytest.mark.parametrize(("text", "line"), TOP.items(), ids=ids(TOP))
def test_a_bad_line_of_a_grid_is_named(call, tmp_path, text, line):
    (tmp_path / "bad.toml").write_text(f"{text}\n{GOOD}")
    call("plan", "-g", "bad.toml").refuses(line)


@pytest.mark.parametrize(("text", "line"), TABLES.items(), ids=ids(TABLES))
def test_a_bad_table_of_a_grid_is_named(call, tmp_path, text, line):
    (tmp_path / "bad.toml").write_text(f"{GOOD}{text}\n")
    call("plan", "-g", "bad.toml", *(["--scale", "demo"] * ("scale" in text))).refuses(line)


@pytest.mark.parametrize(("axis", "line"), AXIS_VALUES.items(), ids=ids(AXIS_VALUES))
def test_a_bad_axis_of_a_grid_is_named(call, tmp_path, axis, line):
    (tmp_path / "bad.toml").write_text(with_axis(*axis))
    call("plan", "-g", "bad.toml").refuses(line)


@pytest.mark.parametrize(("text", "line"), WHOLE.items(), ids=ids(WHOLE))
def test_a_bad_grid_is_refused(call, tmp_path, text, line):
    (tmp_path / "bad.toml").write_text(text)
    call("plan", "-g", "bad.toml").refuses(line)


def test_a_byte_order_mark_and_crlf_are_no_harm(call, tmp_path):
    content = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    (tmp_path / "good.toml").write_bytes(content)
    ended = call("plan", "-g", "good.toml")
    assert ended.code == 0, ended.err
    assert "3 jobs: 1 cells × 3 seeds" in ended.out


def test_a_place_that_is_long_is_cut_in_the_line(call, tmp_path):
    (tmp_path / "bad.toml").write_text(f"{GOOD}[data]\npath = {'{a = ' * 300}1{'}' * 300}\n")
    ended = call("plan", "-g", "bad.toml")
    ended.refuses("nested too deeply")
    assert len(ended.err) < 500


def test_a_title_is_one_line(call, tmp_path):
    (tmp_path / "good.toml").write_text(f'title = "a\\nb\\u001b[31m"\n{GOOD}')
    ended = call("plan", "-g", "good.toml")
    assert ended.out.startswith(r"a\nb\x1b[31m — grid good"), ended.out + ended.err


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x80abc", GOOD.encode("utf-16")])
def test_what_is_no_text_is_refused(call, tmp_path, content):
    (tmp_path / "bad.toml").write_bytes(content)
    call("plan", "-g", "bad.toml").refuses("bad.toml: not valid TOML")
