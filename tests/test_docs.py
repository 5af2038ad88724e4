"""README and pages: their numbers are computed, their code runs, they name what is public."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import xarray as xr

import bayes_msc as bm

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(DOCS.glob("*.md"))
PROSE = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CITATION.cff",
    ROOT / ".pre-commit-config.yaml",
    DOCS / "conf.py",
    *sorted((DOCS / "_ext").glob("*.py")),
    *PAGES,
]
#: Written in pieces, so that this file does not hold what it looks for.
FORBIDDEN = {
    "a registry's host": r"py" + r"pi\.org|python" + r"hosted|npm" + r"js\.|conda\.an" + r"aconda",
    "a path of one machine": r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot|ho" + r"me)/",
    "an issue's number": r"\bissue\s+#?\d|(?<![\w&])#\d+\b",
    "the verdict 'significant'": r"\b(?:in)?signifi" + r"can(?:t|ce)\b",
    "another host's content": r"cdn\.|fonts\.goo" + r"gle|shields\.io",
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = spec_from_file_location("readme_figure", ROOT / "scripts" / "readme_figure.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # dataclasses look their own module up
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def readme_table() -> list[list[str]]:
    inside = README.split("<!-- founding-trial: start -->")[1].split("<!-- founding-trial: end")[0]
    lines = [line for line in inside.strip().splitlines() if not line.startswith("|-")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def fence(kind: str) -> str:
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1 or kind != "python"
    return "\n".join(blocks)


def test_exact_rows_of_the_readme_are_what_the_package_computes(script: ModuleType) -> None:
    computed = script.table(script.printed_answers()).splitlines()[2:]
    shown = ["| " + " | ".join(row) + " |" for row in readme_table()[1:6]]
    assert shown == computed


def test_sampled_row_of_the_readme_is_what_the_package_computes(
    script: ModuleType, reconstruction_fit: xr.DataTree
) -> None:
    answer = script.patient_answer(reconstruction_fit)
    group, prior, ratio, *probabilities = readme_table()[6]
    assert (group, prior) == (answer.group, answer.name)
    assert "reconstruction, not data" in group
    # another seed than the README's: within Monte Carlo error and rounding
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", ratio)]
    assert numbers == pytest.approx(answer.ratio, rel=0.08)
    assert [float(p) for p in probabilities] == pytest.approx(answer.probabilities, abs=0.04)


def test_readme_says_what_the_later_trial_found() -> None:
    printed = bm.load_published("mesems2021").printed()
    assert "0.94 (0.58-1.50)" in printed
    assert "0.94 (0.58 to 1.50)" in " ".join(README.split())
    assert ".064" in bm.load_published("llufriu2014").printed("locf")
    assert "p = .064" in README


def test_figure_shows_the_tables_numbers(script: ModuleType) -> None:
    answers = script.printed_answers()
    figure = script.draw(answers)
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {f"{answer.probabilities[0]:.2f}" for answer in answers} <= texts
    assert {f"prior: {answer.name}" for answer in answers} <= texts
    for suffix in (".svg", ".png"):
        assert script.FIGURE.with_suffix(suffix).stat().st_size > 1000


def test_table_is_replaced_between_its_marks(script: ModuleType) -> None:
    text = f"before\n{script.START}\nold\n{script.END}\nafter"
    new = script.replace_table(text, "| a |")
    assert new == f"before\n{script.START}\n| a |\n{script.END}\nafter"
    with pytest.raises(SystemExit, match="no place"):
        script.replace_table("nothing", "| a |")


def test_twelve_lines_of_python_run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = fence("python")
    assert len([line for line in code.splitlines() if line.strip()]) == 12
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"llufriu2014.html", "llufriu2014.nc", "patients.html"}
    said = capsys.readouterr().out
    assert "log rate ratio -1.391" in said
    assert "prob_rate_ratio_below" in said
    assert "R-hat" in said
    assert "reconstruction, not data" in (tmp_path / "patients.html").read_text(encoding="utf-8")


def test_readmes_commands_exist() -> None:
    from typer.main import get_command

    from bayes_msc.cli import app

    known = get_command(app).commands
    text = README + "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"bayes-msc ([a-z]+)\b", text))
    assert {"reanalyze", "fit"} <= named <= set(known)
    options = {option for name in known for p in known[name].params for option in p.opts}
    used = set(re.findall(r"bayes-msc [^`\n]*?(--[a-z-]+)", text))
    assert used <= options | {"--version", "--help", "--install-completion", "--show-completion"}


def test_every_public_name_is_on_the_api_page() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^ {3}([A-Za-z_]+)$", page, re.MULTILINE)
    assert sorted([*listed, "__version__"]) == sorted(bm.__all__)
    assert "bayes_msc.__version__" in page
    assert len(listed) == len(set(listed))


def test_files_named_on_the_validation_page_exist() -> None:
    page = (DOCS / "validation.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/\w+\.py)`", page)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
    for module in re.findall(r"python -m (benchmarks\.\w+)", page):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()


def test_every_page_is_in_the_contents() -> None:
    contents = (DOCS / "index.md").read_text(encoding="utf-8").split("```{toctree}")[1]
    listed = set(re.findall(r"^(?:.*<)?([a-z-]+)>?$", contents, re.MULTILINE))
    assert {page.stem for page in PAGES} - {"index"} <= listed


@pytest.mark.parametrize("what", FORBIDDEN)
@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_pages_name_nothing_forbidden(path: Path, what: str) -> None:
    found = re.search(FORBIDDEN[what], path.read_text(encoding="utf-8"), re.IGNORECASE)
    assert found is None, f"{path.name} names {what}: {found and found.group()}"


def test_numbers_of_the_methods_page_are_the_codes() -> None:
    from bayes_msc.counts import DROP, FAMILIES
    from bayes_msc.counts.lanes import FEWEST
    from bayes_msc.evidence import TAU_PRIORS
    from bayes_msc.fit import CAREFUL, Settings
    from bayes_msc.importance import EFFORT, MOST_K, QUICK

    text = " ".join((DOCS / "methods.md").read_text(encoding="utf-8").split())
    first = Settings()
    assert f"has fallen by {DROP:g}, and nodes" in text
    assert f"they get {FEWEST} nodes, others more, up to {FAMILIES['poisson'].nodes}" in text
    for name, row in FAMILIES.items():
        assert f"| `{name}` | {row.variance} |" in text
        beside = re.findall(rf"\| `{name}` \|[^|]*\| ([^|]*) \|", text)[0]
        stated = [key.removeprefix("sqrt_") for key in row.parameters]
        assert re.findall(r"`(\w+)`", beside) == stated
    assert f"{first.draws} draws each after {first.tune} of tuning" in text
    assert f"four chains, {first.draws}" in text
    assert first.chains == 4
    assert f"target acceptance {first.target_accept:g}" in text
    assert (CAREFUL.tune, CAREFUL.draws) == (4 * first.tune, 2 * first.draws)
    assert "four times the tuning, twice the draws" in text
    assert f"target acceptance of {CAREFUL.target_accept:g}" in text
    points = sum(EFFORT.stages)
    assert f"{points} points at first and up to {points + sum(EFFORT.extra)} while" in text
    assert f"Pareto k at most {MOST_K:g}, effective size at least {EFFORT.smallest_share:g}" in text
    assert f"P(RR < 1) at most {EFFORT.probability_error:g} and of" in text
    assert f"at most {EFFORT.mean_error:g} posterior standard deviations" in text
    quick = f"{sum(QUICK.stages)} points at first and a limit of {QUICK.probability_error:g},"
    assert quick in text
    assert [prior["scale"] for prior in TAU_PRIORS] == [0.5, 1.0]
    assert "$A = 0.5$" in text
    assert "$A = 1$" in text


def test_patient_level_numbers_of_the_founding_trial_carry_their_label() -> None:
    for page in [ROOT / "README.md", *PAGES]:
        text = " ".join(page.read_text(encoding="utf-8").split())
        if "llufriu2014_reconstructed" in text and page.stem != "command-line":
            assert re.search(r"reconstruction, not data|\*inferred\*|inferred from", text), (
                page.name
            )


def test_versions_and_licence_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {bm.__version__}\n" in citation
    assert f"license: {project['license']}\n" in citation
    assert f"## {bm.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
