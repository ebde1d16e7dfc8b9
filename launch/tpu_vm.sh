#!/usr/bin/env bash
# A run on a Cloud TPU VM or slice, from creation to deletion:
#
#   TPU=mine ZONE=us-west4-a BUCKET=my-bucket launch/tpu_vm.sh --experiment=mbv2_epitome
#
# It creates the TPU if it is not there, builds launch/Dockerfile on every host, trains
# with the run directory gs://BUCKET/TPU, and deletes the TPU when the run is done. The
# same command goes on where it stopped. `launch/tpu_vm.sh delete` gives the TPU back
# early; DRY_RUN=1 prints the commands. Also read from the environment:
#
#   TYPE     v5litepod-16; RUNTIME  v2-alpha-tpuv5-lite; SPOT  1 for a preemptible one
set -euo pipefail
cd "$(dirname "$0")/.."

: "${TPU:?is the name of the TPU}" "${ZONE:?is its zone}" "${BUCKET:?is a bucket}"
TYPE=${TYPE:-v5litepod-16}
RUNTIME=${RUNTIME:-v2-alpha-tpuv5-lite}
SPOT=${SPOT:-}
DRY_RUN=${DRY_RUN:-}
POLL_SECONDS=${POLL_SECONDS:-30}

call() {
  if [[ $DRY_RUN ]]; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}

on_all_hosts() {
  call gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all --command="$1"
}

state() {
  [[ $DRY_RUN ]] || gcloud compute tpus queued-resources describe "$TPU" \
    --zone="$ZONE" --format='value(state.state)' 2>/dev/null || true
}

delete() {
  call gcloud compute tpus queued-resources delete "$TPU" --zone="$ZONE" \
    --force --quiet
}

request() {
  call gcloud compute tpus queued-resources create "$TPU" --node-id="$TPU" \
    --zone="$ZONE" --accelerator-type="$TYPE" --runtime-version="$RUNTIME" \
    --scopes=cloud-platform ${SPOT:+--spot}
}

# A TPU that is taken back is SUSPENDING and then SUSPENDED for ever, here at the start
# or while it is waited for: it is asked for anew. One that cannot be had is an error.
create() {
  local found
  found=$(state)
  if [[ $found == FAILED ]]; then # of an earlier command
    delete
    found=
  fi
  [[ $found ]] || request
  until [[ $DRY_RUN || $found == ACTIVE ]]; do
    if [[ $found == SUSPENDED ]]; then
      delete
      request
    fi
    sleep "$POLL_SECONDS"
    found=$(state)
    echo "$TPU: ${found:-unknown}"
    if [[ $found == FAILED ]]; then
      echo "$TPU cannot be had; the same command asks again." >&2
      exit 1
    fi
  done
}

install() {
  local archive
  archive=$(mktemp --suffix=.tar.gz)
  tar --create --gzip --file="$archive" setup.cfg pyproject.toml requirements.txt \
    README.md LICENSE neural_epitome experiments launch
  call gcloud compute tpus tpu-vm scp "$archive" "$TPU:source.tar.gz" \
    --zone="$ZONE" --worker=all
  rm -f "$archive"
  on_all_hosts 'set -e
    mkdir -p source && tar --extract --gzip --file=source.tar.gz --directory=source
    sudo docker build --quiet --build-arg=ACCELERATOR=tpu --tag=neural_epitome \
      --file=source/launch/Dockerfile source'
}

# Checkpoints are written aside and renamed, which gcsfuse allows only when told to.
mount_bucket() {
  on_all_hosts "set -e
    if ! command -v gcsfuse >/dev/null; then
      key=/usr/share/keyrings/cloud.google.asc
      source=https://packages.cloud.google.com/apt
      curl -fsSL \$source/doc/apt-key.gpg | sudo tee \$key >/dev/null
      echo deb [signed-by=\$key] \$source gcsfuse-\$(lsb_release -cs) main |
        sudo tee /etc/apt/sources.list.d/gcsfuse.list >/dev/null
      sudo apt-get update --quiet && sudo apt-get install --yes --quiet gcsfuse
    fi
    sudo mkdir -p /runs
    mountpoint --quiet /runs ||
      sudo gcsfuse --implicit-dirs --rename-dir-limit=100000 '$BUCKET' /runs"
}

# The devices of a TPU belong to root, and JAX asks the host's metadata for its peers.
train() {
  local flags
  printf -v flags '%q ' "$@"
  on_all_hosts "sudo docker rm --force neural_epitome >/dev/null 2>&1
    sudo docker run --rm --name=neural_epitome --stop-timeout=60 --privileged \
      --net=host --user=root --volume=/runs:/runs neural_epitome \
      --workdir=/runs/$TPU $flags"
}

if [[ ${1:-} == delete ]]; then
  delete
  exit
fi
create
install
mount_bucket
code=0
train "$@" || code=$?
# gcloud does not hand on the exit code of every host; the run directory knows.
status=$(call gcloud storage cat "gs://$BUCKET/$TPU/status") || status=missing
if [[ $status == "done" ]]; then
  delete
elif [[ $DRY_RUN ]]; then
  echo "$status"
  delete
else
  echo "The run gs://$BUCKET/$TPU is $status, and $TPU is kept." \
    "The same command resumes; launch/tpu_vm.sh delete gives the TPU back." >&2
  exit $((code ? code : 1))
fi
