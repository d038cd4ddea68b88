# shellcheck shell=sh
# Sourced by every `build OUT`. Sets $out, $wit and $work (a folder for what is generated), and goes to the language's
# folder. `need TOOL…` ends the build with exit code 3 if a tool is missing.
set -eu
if [ $# != 1 ]; then
  echo "usage: $0 OUT.wasm" >&2
  exit 2
fi
case $1 in /*) out=$1 ;; *) out=$PWD/$1 ;; esac
cd "$(dirname "$0")"
here=$PWD
wit=$(cd ../../../wit/0.1 && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

need() {
  missing=
  for tool in "$@"; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
  done
  if [ -n "$missing" ]; then
    echo "$0: not on PATH:$missing. plugins/languages/tools FOLDER installs it; then PATH=FOLDER/bin:\$PATH" >&2
    exit 3
  fi
}
