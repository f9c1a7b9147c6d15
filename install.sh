#!/usr/bin/env bash
# Install Hone into an environment beside the code, then run the demo or the tests if asked to.
# Running it again is quick; a run that was cut short is repaired by the next.
set -euo pipefail

usage() {
  cat <<'HELP'
usage: bash install.sh [demo|test] [options] [arguments for the demo or the tests]

  (nothing)          install for use
  demo               install, then answer puzzles before and after test-time training;
                     further arguments go to the demo: demo --seed 3 --tasks 8
  test               install with what the tests need, then run them;
                     further arguments go to pytest: test -k grid

options:
  --cpu | --gpu      which build of torch (default: GPU where nvidia-smi sees one, else CPU)
  --extras NAMES     further extras of pyproject.toml, joined by commas
  --python PY        the Python to build on (default: the first supported one on PATH)
  --venv DIR         where the environment goes (default: .venv beside this file)
  --                 everything after it goes to the demo or the tests
  --help             this text

uv is used where it is installed, pip otherwise. Both follow pip's settings for indexes
(PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS or pip's configuration file).
HELP
}

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
VENV="$ROOT/.venv"
DOOR="" BUILD="" EXTRAS="" PYTHON="" UV=""
REST=()
STARTED=$SECONDS STATUS=0

refuse() { # what was asked cannot be done: nothing has been touched
  echo "error: $*" >&2
  exit 2
}

fail() { # a step went wrong: show the end of its log
  echo "error: $*" >&2
  if [ "$STATUS" -lt 128 ]; then rm -f "$VENV/hone-installing"; fi # the installer tidied up itself
  if [ -s "$LOG" ]; then
    echo "the end of $LOG:" >&2
    tail -n 15 "$LOG" | sed 's/^/  | /' >&2
  fi
  exit 1
}

read_arguments() {
  while [ $# -gt 0 ]; do
    case "$1" in
      -h | --help) usage; exit 0 ;;
      --cpu | --gpu) choose_build "${1#--}" ;;
      --extras | --python | --venv)
        [ $# -ge 2 ] && [ -n "$2" ] || refuse "$1 needs a value; see bash install.sh --help"
        take_value "$1" "$2"
        shift ;;
      --)
        [ -n "$DOOR" ] || refuse "-- needs demo or test before it; see bash install.sh --help"
        shift
        REST+=("$@")
        return ;;
      demo | test) [ -z "$DOOR" ] && DOOR="$1" || REST+=("$1") ;;
      *)
        [ -n "$DOOR" ] || refuse "unknown argument '$1'; see bash install.sh --help"
        REST+=("$1") ;;
    esac
    shift
  done
}

choose_build() {
  [ -z "$BUILD" ] || [ "$BUILD" = "$1" ] || refuse "--cpu and --gpu exclude each other; give one"
  BUILD="$1"
}

take_value() {
  case "$1" in
    --extras) EXTRAS="$EXTRAS,$2" ;;
    --python) PYTHON="$2" ;;
    --venv) case "$2" in /*) VENV="$2" ;; *) VENV="$PWD/$2" ;; esac ;;
  esac
}

# --- Python -----------------------------------------------------------------------------------

version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null; }

supported() { # $1 a version: is it inside requires-python?
  local low high minor
  low="$(sed -n 's/^requires-python.*>=3\.\([0-9]*\).*/\1/p' "$ROOT/pyproject.toml")"
  high="$(sed -n 's/^requires-python.*<3\.\([0-9]*\).*/\1/p' "$ROOT/pyproject.toml")"
  SUPPORTED="Python 3.$low to 3.$((high - 1))"
  case "$1" in 3.*) minor="${1#3.}" minor="${minor%%.*}" ;; *) return 1 ;; esac
  [ "$minor" -ge "$low" ] 2>/dev/null && [ "$minor" -lt "$high" ]
}

find_python() {
  local name version seen="" names=(python3 python3.13 python3.12 python3.11 python)
  if [ -n "$PYTHON" ]; then names=("$PYTHON"); fi
  for name in "${names[@]}"; do
    version="$(version_of "$name")" || continue
    if supported "$version"; then
      PYTHON="$name" PYTHON_VERSION="$version"
      return
    fi
    seen="${seen:-$name is Python $version}"
  done
  supported none || true # for its words
  if [ -n "$PYTHON" ] && [ -z "$seen" ]; then seen="'$PYTHON' is not a Python that runs"; fi
  refuse "Hone needs $SUPPORTED, but ${seen:-no Python was found}; install one and name it:" \
    "bash install.sh --python /path/to/python3"
}

# --- what stands, and what is asked for -------------------------------------------------------

stamp_word() { sed -n "s/^$1: //p" "$VENV/hone-install" 2>/dev/null || true; }

settle_options() {
  [ "$DOOR" != test ] || EXTRAS="$EXTRAS,test"
  if [ -z "$BUILD" ]; then BUILD="$(stamp_word build)"; fi
  if [ -z "$BUILD" ]; then
    BUILD=cpu
    if nvidia-smi -L 2>/dev/null | grep -q GPU; then BUILD=gpu; fi
  fi
  EXTRAS="$(echo "$EXTRAS,$(stamp_word extras)" | tr ',' '\n' | sed '/^$/d' | sort -u | paste -sd, -)"
  SPEC="$("$PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read() + repr(sys.argv[2:]).encode()).hexdigest())' \
    "$ROOT/pyproject.toml" "$ROOT" "$PYTHON_VERSION" "$BUILD" "$EXTRAS")"
}

stands() { # the environment is whole and holds all that is asked for
  [ "$(stamp_word spec)" = "$SPEC" ] && "$VENV/bin/python" -P - "$ROOT" 2>/dev/null <<'CHECK'
import importlib.util, pathlib, sys
import hone, numpy, yaml
found = pathlib.Path(hone.__file__).resolve().parent.parent
sys.exit(found != pathlib.Path(sys.argv[1]).resolve() or not importlib.util.find_spec("torch"))
CHECK
}

# --- the steps --------------------------------------------------------------------------------

step() { # $1 a title, then a command whose output goes to the log
  local title="$1" since=$SECONDS
  shift
  printf '%s ... ' "$title"
  echo "--- $title" >>"$LOG"
  "$@" >>"$LOG" 2>&1 && STATUS=0 || STATUS=$?
  if [ "$STATUS" = 0 ]; then echo "$((SECONDS - since)) s"; else echo failed; fi
  return "$STATUS"
}

usable_environment() {
  [ ! -e "$VENV/hone-installing" ] || return 1 # cut short: what lies there may be half a package
  [ "$(version_of "$VENV/bin/python")" = "$PYTHON_VERSION" ] || return 1
  [ -n "$UV" ] || "$VENV/bin/python" -m pip --version >/dev/null 2>&1
}

make_environment() {
  local said
  if [ -d "$VENV" ] && [ ! -e "$VENV/pyvenv.cfg" ] && [ -n "$(ls -A "$VENV")" ]; then
    refuse "$VENV is not empty and not a Python environment; move it away or choose another --venv"
  fi
  if usable_environment; then return; fi
  [ -n "$UV" ] || "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
    refuse "$PYTHON has no venv module; on Debian and Ubuntu: apt-get install python3-venv; or install uv"
  [ ! -e "$VENV/hone-installing" ] || echo "the last installation was cut short; starting afresh"
  echo "environment on Python $PYTHON_VERSION in $VENV"
  if [ -n "$UV" ]; then
    said="$("$UV" venv --clear --python "$PYTHON" "$VENV" 2>&1)" || refuse "no environment: $said"
  else
    said="$("$PYTHON" -m venv --clear "$VENV" 2>&1)" || refuse "no environment: $said"
  fi
}

pip_setting() { # the environment's word, or the configuration file's
  local variable="PIP_$(echo "$1" | tr 'a-z-' 'A-Z_')"
  echo "${!variable:-$("$PYTHON" -m pip config get "global.$1" 2>/dev/null || true)}" | tr -s ' \n' ' '
}

follow_pip_settings() { # uv reads none of pip's settings
  local links extra index
  links="$(pip_setting find-links)" extra="$(pip_setting extra-index-url)" index="$(pip_setting index-url)"
  links="${links% }" extra="${extra% }" index="${index% }"
  if [ -n "$links" ]; then export UV_FIND_LINKS="${UV_FIND_LINKS:-${links// /,}}"; fi
  if [ -n "$index" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"; fi
  if [ -n "$extra" ]; then
    export UV_INDEX="${UV_INDEX:-$extra}" UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
  fi
}

install_packages() {
  if [ -n "$UV" ]; then
    "$UV" pip install --python "$VENV/bin/python" "$@"
  else
    "$VENV/bin/python" -m pip install --disable-pip-version-check --no-compile --progress-bar off "$@"
  fi
}

installed_torch() {
  "$VENV/bin/python" -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null
}

install_torch() { # the pin of pyproject.toml, in the build that is asked for
  local pin
  pin="$(sed -n 's/^ *"\(torch==[0-9.]*\)".*/\1/p' "$ROOT/pyproject.toml")"
  if [ "$BUILD" = gpu ] || [ "$(uname -s)" = Darwin ]; then
    case "$(installed_torch || true)" in
      *+cpu) step "removing the CPU build of torch" remove_torch || fail "torch could not be removed" ;;
    esac
    step "$pin (this can take some minutes)" install_packages "$pin" || fail "$pin was not installed"
    if [ "$BUILD" = gpu ]; then
      case "$(installed_torch)" in *+cpu) echo "note: the indexes in use offer only a CPU build of torch" ;; esac
    fi
  else
    step "$pin, CPU build" install_packages "$pin+cpu" || fail \
      "the CPU build of $pin was not installed for Python $PYTHON_VERSION; if the indexes in use lack it," \
      "name PyTorch's CPU wheel index in PIP_EXTRA_INDEX_URL (or a folder of wheels in PIP_FIND_LINKS)" \
      "and run this again, or take the large GPU build with --gpu"
  fi
}

remove_torch() {
  if [ -n "$UV" ]; then
    "$UV" pip uninstall --python "$VENV/bin/python" torch
  else
    "$VENV/bin/python" -m pip uninstall -y torch
  fi
}

install_all() {
  make_environment
  : >"$LOG"
  rm -f "$VENV/hone-install"
  : >"$VENV/hone-installing"
  trap 'echo; echo "interrupted; the next run starts afresh" >&2; exit 130' INT TERM HUP
  install_torch
  step "hone${EXTRAS:+ with $EXTRAS} and what it stands on" \
    install_packages --editable "$ROOT${EXTRAS:+[$EXTRAS]}" || fail "the installation did not finish"
  printf 'spec: %s\nbuild: %s\nextras: %s\n' "$SPEC" "$BUILD" "$EXTRAS" >"$VENV/hone-install"
  rm -f "$VENV/hone-installing"
}

open_door() {
  cd "$ROOT"
  case "$DOOR" in
    demo) exec "$VENV/bin/python" -m eval.demo ${REST[@]+"${REST[@]}"} ;;
    test) exec "$VENV/bin/python" -m pytest -n auto --maxprocesses 8 --dist loadfile ${REST[@]+"${REST[@]}"} ;;
    *) echo "Hone is ready in $((SECONDS - STARTED)) s: source $(printf %q "$VENV/bin/activate")" ;;
  esac
}

read_arguments "$@"
LOG="$VENV/install.log"
UV="$(command -v uv || true)"
find_python
if command -v flock >/dev/null; then # a second run waits for the first
  exec 9<"$ROOT/install.sh"
  flock -n 9 || { echo "waiting for another installation to end"; flock 9; }
fi
settle_options
if ! stands; then
  if [ -n "$UV" ]; then follow_pip_settings; fi
  (install_all)
fi
exec 9<&-
open_door
