"""Launch files, as far as they can be checked without a cluster."""

import json
import os
import re
import shlex
import shutil
import string
import subprocess
from pathlib import Path

import pytest

from neural_epitome.distributed import interruption

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"
MANIFESTS = sorted((LAUNCH / "gke").glob("*.yaml"))
NAMES = {"NAME": "mine", "IMAGE": "image", "BUCKET": "bucket", "EXPERIMENT": "quick"}


def needed(program):
  return shutil.which(program) or pytest.skip(f"{program} is not installed")


def run(command, **environment):
  return subprocess.run(
    [str(part) for part in command],
    env=os.environ | environment,
    capture_output=True,
    text=True,
    check=False,
  )


def job_set(path):
  yaml = pytest.importorskip("yaml")
  return yaml.safe_load(string.Template(path.read_text()).safe_substitute(NAMES))


def dockerfile():
  """(instruction, rest) of every instruction."""
  text = (LAUNCH / "Dockerfile").read_text()
  text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
  return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


def test_shell_scripts_pass_shellcheck(tmp_path):
  commands = tmp_path / "Dockerfile.sh"
  runs = [rest for instruction, rest in dockerfile() if instruction == "RUN"]
  commands.write_text("#!/bin/sh\nACCELERATOR=tpu\n" + "\n".join(runs) + "\n")
  files = [*LAUNCH.glob("*.sh"), ROOT / ".ci" / "run", commands]
  process = run([needed("shellcheck"), "--exclude=SC1091", *files])
  assert process.returncode == 0, process.stdout


def test_the_image_copies_files_that_exist_and_hands_signals_on():
  instructions = dockerfile()
  copied = {
    source
    for instruction, rest in instructions
    if instruction == "COPY"
    for source in rest.split()[:-1]
  }
  absent = {source for source in copied if not (ROOT / source).exists()}
  assert not absent - {"launch"}
  assert {"setup.cfg", "requirements.txt", "neural_epitome", "experiments"} <= copied
  last, entry = instructions[-1]
  assert last == "ENTRYPOINT"
  assert json.loads(entry) == ["python", "-m", "neural_epitome.main"]
  assert ["USER", "1000"] in instructions


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_job_sets_have_the_form_of_their_schema(path):
  jsonschema = pytest.importorskip("jsonschema")
  schema = json.loads((Path(__file__).parent / "job_set.json").read_text())
  jsonschema.Draft202012Validator.check_schema(schema)
  jsonschema.validate(job_set(path), schema)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_job_sets_restart_after_everything_but_mistakes_of_the_user(path):
  spec = job_set(path)["spec"]
  [job] = (job["template"]["spec"] for job in spec["replicatedJobs"])
  [rule] = job["podFailurePolicy"]["rules"]
  assert (rule["action"], rule["onExitCodes"]["operator"]) == ("FailJob", "In")
  assert rule["onExitCodes"]["values"] == [1]
  assert interruption.INTERRUPTED == 143
  [container] = job["template"]["spec"]["containers"]
  assert rule["onExitCodes"]["containerName"] == container["name"]
  assert job["backoffLimit"] == 0
  assert spec["failurePolicy"]["maxRestarts"] > 0
  [final] = spec["failurePolicy"]["rules"]
  assert final == {
    "action": "FailJobSet",
    "onJobFailureReasons": ["PodFailurePolicy"],
  }


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_job_sets_count_their_pods_once(path):
  document = job_set(path)
  [replicated] = document["spec"]["replicatedJobs"]
  job = replicated["template"]["spec"]
  assert job["parallelism"] == job["completions"]
  pod = job["template"]["spec"]
  [container] = pod["containers"]
  mounted = {mount["name"] for mount in container["volumeMounts"]}
  assert mounted == {volume["name"] for volume in pod["volumes"]}
  named = {e["name"]: e.get("value") for e in container.get("env", [])}
  if named:
    assert named["JAX_NUM_PROCESSES"] == str(job["completions"])
    name = document["metadata"]["name"]
    host = f"{name}-{replicated['name']}-0-0.{name}"
    assert named["JAX_COORDINATOR_ADDRESS"].rpartition(":")[0] == host


@pytest.mark.parametrize(
  ("code", "restarts"), [(0, 0), (1, 0), (134, 0), (143, 0), (143, 100)]
)
def test_slurm_requeues_a_run_that_was_stopped_and_no_other(tmp_path, code, restarts):
  # Stand-ins: a process that ends so, and the word that would reach the scheduler.
  for name, text in (("srun", f"exit {code}"), ("scontrol", 'echo "scontrol $*"')):
    (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
    (tmp_path / name).chmod(0o755)
  process = run(
    ["bash", LAUNCH / "slurm.sh", "--experiment=quick"],
    PATH=f"{tmp_path}:{os.environ['PATH']}",
    SLURM_JOB_ID="7",
    SLURM_RESTART_COUNT=str(restarts),
  )
  assert process.returncode == code
  is_requeued = code == interruption.INTERRUPTED and restarts < 100
  assert ("scontrol requeue 7" in process.stdout) == is_requeued


def test_xpk_makes_a_job_set_of_the_documented_line(tmp_path):
  xpk, yaml = needed("xpk"), pytest.importorskip("yaml")
  table = (LAUNCH / "README.md").read_text()
  [line] = re.findall(r"`xpk (workload create [^`]*)`", table)
  line = line.replace("CLUSTER", "cluster").replace("IMAGE", "image")
  nowhere = ["--dry-run", "--skip-validation", "--project=none", "--zone=us-central1-a"]
  process = run([xpk, *shlex.split(line), *nowhere], HOME=str(tmp_path))
  assert process.returncode == 0, process.stdout + process.stderr
  _, begin, rest = process.stdout.partition("apiVersion:")
  manifest = yaml.safe_load(begin + rest.partition("[XPK]")[0])
  assert manifest["kind"] == "JobSet"
  assert manifest["spec"]["failurePolicy"]["maxRestarts"] == 100
  [job] = manifest["spec"]["replicatedJobs"]
  spec = job["template"]["spec"]
  # A v5litepod-16 is four machines, of which each runs the command.
  assert spec["completions"] == spec["parallelism"] == 4
  [container] = spec["template"]["spec"]["containers"]
  command = shlex.split(line)[-1].removeprefix("--command=")
  assert command.startswith("python -m neural_epitome.main ")
  assert command in json.dumps(container)
  [rule] = spec["podFailurePolicy"]["rules"]
  assert rule["action"] == "FailJob"
  codes = rule["onExitCodes"]
  assert codes["operator"] == "NotIn"
  assert interruption.INTERRUPTED in codes["values"]
  assert 1 not in codes["values"]


def test_slurm_accepts_the_batch_file():
  process = run([needed("sbatch"), "--test-only", LAUNCH / "slurm.sh"])
  assert process.returncode == 0, process.stderr


def test_a_tpu_is_made_used_and_given_back_in_one_command():
  flags = ["--experiment=quick", '--config.planner={"kind": "dense"}']
  process = run(
    [LAUNCH / "tpu_vm.sh", *flags],
    TPU="mine",
    ZONE="here",
    BUCKET="bucket",
    DRY_RUN="1",
  )
  assert process.returncode == 0, process.stderr
  # bash spells line breaks as $'\n', which shlex does not know.
  output = subprocess.run(
    ["bash", "-c", "while read -r line; do eval \"printf '%s\\0' $line\"; echo; done"],
    input=process.stdout,
    capture_output=True,
    text=True,
    check=True,
  ).stdout
  commands = [line.strip("\n\0").split("\0") for line in output.split("\0\n")[:-1]]
  verbs = [command[3:5] for command in commands]
  assert verbs[0] == ["queued-resources", "create"]
  assert verbs[-1] == ["queued-resources", "delete"]
  [training] = [c[-1] for c in commands if "docker run" in c[-1]]
  assert shlex.split(training)[-3:] == ["--workdir=/runs/mine", *flags]


# Answers each question for the state with the next one, and notes what it is told.
GCLOUD = """#!/bin/sh
case "$*" in
  *queued-resources\\ describe*) head -n 1 states; sed -i 1d states ;;
  *storage\\ cat*) echo done ;;
  *queued-resources*) echo "$4" >>told ;;
esac
"""


@pytest.mark.parametrize(
  ("states", "code", "expected"),
  [
    (["", "WAITING_FOR_RESOURCES", "ACTIVE"], 0, ["create", "delete"]),
    (["ACTIVE"], 0, ["delete"]),
    (
      ["SUSPENDING", "SUSPENDING", "SUSPENDED", "ACTIVE"],
      0,
      ["delete", "create", "delete"],
    ),
    (["FAILED", "ACTIVE"], 0, ["delete", "create", "delete"]),
    (["", "PROVISIONING", "FAILED"], 1, ["create"]),
  ],
)
def test_a_tpu_that_is_taken_back_is_asked_for_anew(tmp_path, states, code, expected):
  gcloud, launch = tmp_path / "bin" / "gcloud", tmp_path / "launch"
  for folder in (gcloud.parent, launch):
    folder.mkdir()
  gcloud.write_text(GCLOUD)
  gcloud.chmod(0o755)
  script = Path(shutil.copy(LAUNCH / "tpu_vm.sh", launch))
  # What the script packs for the hosts.
  for name in ("setup.cfg", "pyproject.toml", "requirements.txt", "README.md"):
    (tmp_path / name).touch()
  for name in ("LICENSE", "neural_epitome", "experiments"):
    (tmp_path / name).touch()
  (tmp_path / "states").write_text("".join(f"{state}\n" for state in states))
  process = run(
    ["timeout", "30", script],
    PATH=f"{gcloud.parent}:{os.environ['PATH']}",
    TPU="mine",
    ZONE="here",
    BUCKET="bucket",
    POLL_SECONDS="0",
  )
  assert process.returncode == code, process.stderr
  assert (tmp_path / "told").read_text().split() == expected
  if code:
    assert process.stderr == "mine cannot be had; the same command asks again.\n"
