# shellcheck shell=sh
# Sourced after ../common.sh by builds of JavaScript and TypeScript. `component KIND FILE` makes $out of the modules in $work: KIND
# is strategy or backend, FILE the module that exports it. The component is the SDK, QuickJS and the modules; without
# --sync it would need the asynchronous component model, which sigbox refuses. `sdk` puts the SDK where modules find it.
sdk() {
  mkdir -p "$work/node_modules/sigbox"
  (cd "$here/../../sdk/javascript" && cp -R package.json ./*.js ./*.d.ts guest "$work/node_modules/sigbox")
}

component() {
  case $1 in backend) export=store ;; *) export=$1 ;; esac
  sdk
  cat >"$work/component.js" <<END
import * as author from "./$2";
import { guest } from "sigbox/guest/$1";
export const $export = guest(author, "$2");
END
  componentize-qjs --sync --wit "${world:-$wit}" --world "$1" --module-root "$work" --js "$work/component.js" -o "$out"
}
