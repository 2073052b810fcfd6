#!/bin/sh
# Installs what is missing on Debian or Ubuntu: npm packages (with bun), a C compiler and liburing's
# headers. Then builds the shared object and dist/. `setup.sh test` and `setup.sh bench` also install
# the programs that the tests and benchmarks use. `setup.sh packages` installs the compilers for the
# systems that have packages.
# Prints one line for each step, and nothing when there is nothing to do. Without the right to
# install system packages, it prints the command and exits with 1.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH"

say() { echo "setup: $*" >&2; }

# A marker inside node_modules tells whether it belongs to this lock file.
marker=node_modules/.ringloop-lock
if ! cmp -s package-lock.json "$marker" || ! bun --version >/dev/null 2>&1; then
  if command -v npm >/dev/null 2>&1; then
    say "npm packages (npm ci)"
    npm ci --no-audit --no-fund --loglevel=error >&2
    # If install scripts are switched off, bun's script has not installed its binary.
    bun --version >/dev/null 2>&1 || (cd node_modules/bun && node install.js)
  elif command -v bun >/dev/null 2>&1; then
    say "npm packages (bun install)"
    bun install --no-save --silent >&2
  else
    say "neither npm nor bun is installed; one of them is needed"
    exit 1
  fi
  cp package-lock.json "$marker"
fi

packages=
need() { # need PACKAGE PROGRAM: PACKAGE has PROGRAM
  command -v "$2" >/dev/null 2>&1 || packages="$packages $1"
}
need_python() { # need_python PACKAGE MODULE: PACKAGE has MODULE, for Debian's python3
  /usr/bin/python3 -c "import $2" >/dev/null 2>&1 || packages="$packages $1"
}
need gcc "${CC:-cc}"
[ -e /usr/include/liburing.h ] || packages="$packages liburing-dev libc6-dev"
case "${1:-}" in
test) need wrk wrk && need curl curl && need ncat ncat && need socat socat && need strace strace && need python3 python3 && need nodejs node &&
  need redis-tools redis-benchmark && need dnsutils dig && need apache2-utils ab && need nghttp2-client h2load && need slowhttptest slowhttptest &&
  need redis-server redis-server && need util-linux setpriv && need valgrind valgrind &&
  need_python python3-websockets websockets && need_python python3-wsproto wsproto
  # Ubuntu has Chromium only as a snap. Without it, the one test that uses it is skipped.
  if grep -qs '^ID=debian' /etc/os-release; then need chromium-headless-shell chromium-headless-shell; fi ;;
bench) need wrk wrk && need strace strace && need nodejs node && need util-linux taskset && need fio fio &&
  need nghttp2-client h2load && need redis-server redis-server && need redis-tools redis-cli && need postgresql-client psql
  # Debian keeps the server's programs out of PATH.
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$packages postgresql" ;;
packages)
  need gcc-x86-64-linux-gnu x86_64-linux-gnu-gcc && need gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc && need binutils readelf
  # A compiler for another machine comes without the C library's headers.
  case "$(uname -m)" in
  x86_64) [ -e /usr/aarch64-linux-gnu/include/stdio.h ] || packages="$packages libc6-dev-arm64-cross" ;;
  aarch64) [ -e /usr/x86_64-linux-gnu/include/stdio.h ] || packages="$packages libc6-dev-amd64-cross" ;;
  esac ;;
esac

if [ -n "$packages" ]; then
  install="apt-get install -y --no-install-recommends$packages"
  if ! command -v apt-get >/dev/null 2>&1; then
    say "these packages (by their Debian names) are needed:$packages"
    exit 1
  elif [ "$(id -u)" = 0 ]; then
    as_root=
  elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
  else
    say "system packages are missing; run: sudo apt-get update && sudo $install"
    exit 1
  fi
  say "system packages ($install)"
  export DEBIAN_FRONTEND=noninteractive
  $as_root apt-get update -qq >&2
  # shellcheck disable=SC2086 # The package list is words.
  $as_root $install -qq >&2
fi

bun ffi/build.ts
bun ffi/bundle.ts
