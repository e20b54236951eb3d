"""The documentation says what the code does: examples run, names exist, every gap of the paper is listed."""

import ast
import importlib
import inspect
import re
import shlex
import textwrap
from pathlib import Path

import pytest

import kds_ref

FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if DOCS / "generated" not in page.parents)
BLOCKS = [  # page, line of the block's first line of code, code
    (page, text[: match.start(3)].count("\n") + 1, textwrap.dedent(match.group(3)))
    for page in PAGES
    for text in [page.read_text(encoding="utf-8")]
    for match in FENCE.finditer(text)
    if match.group(2) == "python"
]
MARK = "PAPER-GAP"
COMMAND_LINES = (  # what only the commands use: --help says it
    "real.__main__",
    "real.cli",
    "real.alternatives.__main__",
    "real.app.__main__",
    "real.backbones.__main__",
    "real.priors.__main__",
    "real.train.__main__",
    "real.train.parsers",
    "real.plugin.table",
    "toy.__main__",
    "toy.errors",
    "toy.files",
    "toy.posterior.command",
    "toy.posterior.figures",
    "toy.posterior.plane_figures",
    "toy.posterior.report",
    "toy.report",
)


def page_id(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


@pytest.mark.parametrize(("page", "line", "code"), BLOCKS, ids=[f"{page_id(p)}:{n}" for p, n, _ in BLOCKS])
def test_each_block_of_python_runs_alone(page: Path, line: int, code: str) -> None:
    """Readers copy one block: it imports and makes all that it uses."""
    exec(compile("\n" * (line - 1) + code, str(page), "exec"), {"__name__": "page"})


def test_some_pages_have_code() -> None:
    assert len({page for page, _, _ in BLOCKS}) > 10
    assert len(BLOCKS) > 30


def test_no_page_advises_to_install_what_an_index_does_not_have() -> None:
    for page in [DOCS.parent / "README.md", *PAGES]:
        if page.name not in ("install.md", "faq.md"):  # they say when it works
            assert "pip install kds-ref" not in page.read_text(encoding="utf-8"), page
            assert 'pip install "kds-ref' not in page.read_text(encoding="utf-8"), page


def test_every_module_of_the_core_has_its_page(root: Path) -> None:
    modules = {path.stem for path in (root / "kds_ref").glob("[!_]*.py")}
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md")}
    assert modules <= set(pages)
    config = (root / "mkdocs.yml").read_text(encoding="utf-8")
    for module in modules:
        assert f"::: kds_ref.{module}\n" in pages[module]
        assert f"reference/{module}.md" in config, f"{module} is not in the navigation"
        assert f"]({module}.md)" in pages["index"], f"{module} is not in the reference's table"


def test_every_public_name_is_on_one_reference_page() -> None:
    shown: list[str] = []
    for page in (DOCS / "reference").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for members in re.findall(r"members: \[([^\]]+)\]", text):
            shown += members.split(", ")
        shown += re.findall(r"^::: kds_ref\.([A-Z]\w+)$", text, re.MULTILINE)
    assert len(shown) == len(set(shown))
    assert set(kds_ref.__all__) <= set(shown)


def test_every_module_of_toy_and_real_is_on_one_reference_page(root: Path, sources: dict[str, list[Path]]) -> None:
    pages = [page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md")]
    shown = [name for text in pages for name in re.findall(r"^::: ((?:toy|real)[\w.]*)$", text, re.MULTILINE)]
    assert len(shown) == len(set(shown))
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for package in ("toy", "real")
        for path in sources[package]
        if path.stem != "__init__"
    }
    assert set(shown) == {name for name in modules if not name.startswith(COMMAND_LINES)}


def test_the_reference_shows_every_name_that_real_exports(root: Path) -> None:
    griffe = pytest.importorskip("griffe", reason="comes with the extra docs")
    hook = griffe.load_extensions(str(DOCS / "hooks" / "docstrings.py"))
    package = griffe.load("real", search_paths=[str(root)], extensions=hook)
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    shown = set(re.findall(r"^::: (real\.[\w.]+)$", pages, re.MULTILINE))
    assert len(shown) > 60
    for module in shown:
        members = package[module.removeprefix("real.")].members
        for name in [str(export) for export in package[module.removeprefix("real.")].exports]:
            if members[name].is_alias:  # made elsewhere: shown there
                assert members[name].target_path.rpartition(".")[0] in shown, f"{module}.{name}"
            else:
                assert members[name].docstring is not None, f"{module}.{name}: what has no docstring is left out"


def test_every_name_of_real_is_in_the_references_table() -> None:
    import real

    stub = ast.parse(Path(real.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    froms = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: f"real.{node.module}" for node in froms for alias in node.names}
    assert set(homes) == set(real.__all__)
    text = (DOCS / "reference" / "index.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+) \| [^|]+ \| \[\w+\]\(([\w.]+)#[\w-]+\) \|$", text, re.MULTILINE)
    names = {name: page for names, page in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(names) == set(real.__all__)
    for name, page in names.items():
        home = homes[name] if homes[name] != "real.plugin" else getattr(real, name).__module__
        assert f"::: {home}\n" in (DOCS / "reference" / page).read_text(encoding="utf-8"), f"{home} is not on {page}"


def commands(text: str) -> list[str]:
    """The command lines of this project in the blocks of a page: one line each, without what is said of them."""
    blocks = "\n".join(body for _, language, body in FENCE.findall(text) if language != "python")
    joined = re.sub(r"\\\n\s*", "", blocks)
    found = re.findall(r"^.*?python -m ((?:real|real\.train|toy)\b.*)$", joined, re.MULTILINE)
    found += re.findall(r"^torchrun .*? -m (real\b.*)$", joined, re.MULTILINE)
    return [re.split(r"  +", line)[0] for line in found]


COMMANDS = sorted({line for page in [DOCS.parent / "README.md", *PAGES] for line in commands(page.read_text("utf-8"))})


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_the_docs_has_options_that_exist(line: str) -> None:
    module, *arguments = shlex.split(line)
    home = importlib.import_module(f"{module}.__main__")
    parser = home._parser() if hasattr(home, "_parser") else home.build_parser()
    parser.parse_args(arguments)


COMMAND_MODULES = {"real", "real.alternatives", "real.app", "real.backbones", "real.priors", "real.train", "toy"}


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 20
    assert {line.split()[0] for line in COMMANDS} == COMMAND_MODULES


def test_every_name_of_the_notation_page_exists() -> None:
    text = (DOCS / "explanation" / "notation.md").read_text(encoding="utf-8")
    functions = set(re.findall(r"`(\w+)\(\)`", text))
    attributes = set(re.findall(r"`([A-Z]\w+)\.(\w+)", text))
    assert len(functions) > 12
    assert {("SteeringInfo", "shift_norm"), ("NoiseSchedule", "alphas_cumprod")} <= attributes
    assert not [name for name in functions if not hasattr(kds_ref, name)]
    for owner, attribute in attributes:
        fields = getattr(getattr(kds_ref, owner), "__annotations__", {})
        assert attribute in fields, f"{owner}.{attribute}"


def test_every_public_function_is_on_the_notation_page() -> None:
    text = (DOCS / "explanation" / "notation.md").read_text(encoding="utf-8")
    functions = [name for name in kds_ref.__all__ if inspect.isfunction(getattr(kds_ref, name))]
    assert not [name for name in functions if f"`{name}()`" not in text]


def marks(root: Path) -> list[tuple[str, str]]:
    """(file, text around the mark as one line) of each PAPER-GAP in the packages."""
    found = []
    for package in ("kds_ref", "toy", "real"):
        for path in sorted((root / package).rglob("*.py")):
            lines = path.read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines):
                if MARK in line:
                    around = " ".join(part.strip().lstrip("# ") for part in lines[number : number + 5])
                    found.append((path.relative_to(root).as_posix(), around))
    return found


def test_every_mark_of_a_gap_in_the_code_has_its_entry_and_each_entry_its_mark(root: Path) -> None:
    text = (DOCS / "explanation" / "paper-gaps.md").read_text(encoding="utf-8")
    table = text.split("## Marks in the code")[1]
    rows = re.findall(r"^\| `([\w/.]+)` \| ([^|]+?) \| \[[^\]]+\]\(#([\w-]+)\) \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n| `"), "a row of the table is not of the form file, words, entry"
    anchors = set(re.findall(r"^###? .+\{#([\w-]+)\}$", text, re.MULTILINE))
    in_code = marks(root)
    assert in_code
    for file, around in in_code:
        assert any(file == f and words in around for f, words, _ in rows), f"no row for {file}: {around[:90]}"
    for file, words, anchor in rows:
        assert anchor in anchors, f"no entry #{anchor}"
        assert any(file == f and words in around for f, around in in_code), f"no mark in {file} with: {words}"
