"""Every command on README.md, docs/ and what else tells of commands is one that runs.

The blocks of a page run in order in one empty directory, so that later ones find what
earlier ones left. A page that begins where another one ended says so in a comment that
is not shown, `<!-- needs: runs/tile -->`: a short run of `mbv2_tile` is there first, or
of another shipped experiment that is called as the directory. What trains is shortened
(tests/page_runner.py says how). What cannot run here is named below with the reason,
and what it says is read by the parser of the program all the same.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from neural_epitome.experiment import shipped
from tests import commands, pages

# What a command or Python block holds, and why it is not run.
NOT_RUN = {
  r"^(python -m )?pip ": "installs; .ci/run does, on a bare machine",
  r"^python -m pytest": "is these tests",
  r"^(ruff|git|mkdocs|pyright|mypy|lint-imports|pre-commit) ": ".ci/run does",
  r"^(EPOCHS=\S+ )?jupy\w+ ": "notebooks have tests of their own",
  r"^python -m benchmarks": "measures, for minutes to hours",
  r"^(tensorboard|open|xdg-open) ": "waits for a reader",
  r"sbatch|envsubst|kubectl|gcloud|docker|xpk |tpu_vm|mpirun|srun": "needs a cluster",
  r"--coordinator_address=": "needs several machines",
  r"\.pth|\.pt\b": "needs weights of torchvision, which are downloaded",
  r"--allocation=(sensitivity|searched)": "asks of a hundred networks, as its tests do",
  r"cifar100": "needs CIFAR-100, which is downloaded",
  r"fashion_mnist": "needs the four idx files of Fashion-MNIST",
  r"esc50|urbansound8k|drums": "needs recordings that are downloaded",
  r"--experiment=nse_": "takes minutes; tests/search/test_nse.py has a smaller space",
  r"imagenet_form|imagenet2012": "3,000 pictures; tests/data/recipes has few",
  r"--experiment=\w+_imagenet .*--data_dir=": "needs ImageNet, or those pictures",
}
# Data that is prepared nowhere on the page.
_ELSEWHERE = re.compile(r"--data_dir=[A-Z_]+\b")


def why_not(text):
  """Why it is not run here; None if it is."""
  for pattern, reason in NOT_RUN.items():
    if re.search(pattern, text):
      return reason
  if _ELSEWHERE.search(text) and "data.prepare" not in text:
    return "needs data that a reader prepares"
  return None


def steps(page):
  """What is on a page, in order: language, where it stands and its text."""
  steps = []
  for block in pages.blocks(pages.read(page)):
    if block.language == "python":
      steps.append(("python", f"{page}:{block.line}", block.text))
    else:
      steps += [("sh", f"{page}:{n}", line) for n, line in pages.commands(block)]
  return steps


def needed(page):
  """Commands that make the runs which a page says that it needs."""
  for names in re.findall(r"<!-- needs: (.+?) -->", pages.read(page)):
    for directory in re.split(r",\s*", names):
      name = Path(directory).name
      experiment = name if name in shipped() else "mbv2_tile"
      yield (
        "sh",
        f"{page}: needs",
        f"python -m neural_epitome.main --experiment={experiment} "
        f"--workdir={directory}",
      )


STEPS = {page: steps(page) for page in pages.PAGES}
RUN = {
  page: [step for step in of_page if not why_not(step[2])]
  for page, of_page in STEPS.items()
}
# In a paragraph a command is told of, and not told to type.
EVERY = [step for of_page in STEPS.values() for step in of_page] + [
  ("sh", f"{page}:{number}", line)
  for page in pages.PAGES
  for number, line in pages.inline(pages.read(page))
]


PAGE = """Words.

```sh
one && two \\
    --three  # why
cat > file <<'END'
text && more

END
```

    python -m four

- in a list

  ```python
  five = 5
  ```
"""


def test_blocks_and_commands_are_found_where_they_stand():
  first, second, third = pages.blocks(PAGE)
  assert pages.commands(first) == [
    (4, "one"),
    (4, "two --three  # why"),
    (6, "cat > file <<'END'\ntext && more\n\nEND"),
  ]
  assert pages.commands(second) == [(12, "python -m four")]
  assert (third.language, third.text, third.line) == ("python", "five = 5\n", 17)


def test_the_main_job_is_run_as_the_readme_tells_it():
  [main_job] = [text for _, _, text in RUN["README.md"] if "mbv2_epitome" in text]
  assert main_job == "python -m neural_epitome.main --experiment=mbv2_epitome"


@pytest.mark.parametrize("page", [page for page, of_page in STEPS.items() if of_page])
def test_blocks_of_shell_are_shell(page):
  for block in pages.blocks(pages.read(page)):
    if block.language == "sh":
      done = subprocess.run(
        ["bash", "-n"], input=block.text, text=True, capture_output=True, check=False
      )
      assert not done.stderr, f"{page}:{block.line}: {done.stderr}"


@pytest.mark.parametrize(
  ("language", "text"),
  [(language, text) for language, _, text in EVERY],
  ids=[where for _, where, _ in EVERY],
)
def test_a_command_is_understood_by_the_program_that_it_names(
  language, text, monkeypatch
):
  if language == "python":
    compile(text, "<block>", "exec")
    return
  monkeypatch.chdir(pages.ROOT)
  if match := re.search(r"--experiment=(\S+\.py)", text):
    if not Path(match[1]).exists():
      # The page writes it; until then it is another experiment.
      text = text.replace(match[1], "quick")
  commands.check(text)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, of_page in RUN.items() if of_page])
def test_what_a_page_tells_to_type_runs(page, tmp_path, tmp_path_factory):
  lines = [*needed(page), *RUN[page]]
  file = tmp_path / "steps.json"
  named = [
    dict(zip(("language", "where", "text"), step, strict=True)) for step in lines
  ]
  file.write_text(json.dumps(named))
  workdir = tmp_path / "here"
  workdir.mkdir()
  # As a reader's process: without the strict modes of these tests.
  environment = os.environ | {
    "PYTHONPATH": str(pages.ROOT),
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
    "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.getbasetemp().parent / "xla"),
    "MPLBACKEND": "Agg",
  }
  done = subprocess.run(
    [sys.executable, str(pages.ROOT / "tests" / "page_runner.py"), str(file)],
    cwd=workdir,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    check=False,
    timeout=900,
  )
  print(done.stdout)
  assert done.returncode == 0, done.stdout[-3000:]
