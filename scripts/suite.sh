# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Sourced by scripts/suites/*, each of which also runs on its own. A suite ends with the line
# "N passed, N failed, N skipped"; one that stops half-way counts that as a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

suite=$(basename "$0")
passed=0 failed=0 skipped=0
jobs=$(nproc)
go_min=1.26
test_deadline_s=300
if [ "${GSQ_LONG:-}" = 1 ]; then test_deadline_s=3000; fi

finish() {
	local status=$?
	[ $status -eq 0 ] || failed=$((failed + 1))
	echo "$passed passed, $failed failed, $skipped skipped"
	exit $((failed > 0))
}
trap finish EXIT

# One test, passed when the command succeeds: check NAME COMMAND...
check() {
	local name=$1
	shift
	# In the background, because `if` would switch off `set -e` in a function.
	"$@" &
	judge "$name" $!
}

# One test that runs in the background: judge NAME PID
judge() {
	if wait "$2"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "failed: $1"
	fi
}

skip() {
	skipped=$((skipped + 1))
	echo "skipped: $suite: $*"
}

# What a developer's machine may lack, and CI must have.
skip_but_not_in_ci() {
	if [ "${CI:-}" = true ]; then
		failed=$((failed + 1))
		echo "failed: $suite: $*"
	else
		skip "$*"
	fi
}

# Adds what a test runner's report says.
tally() {
	local counts p f s
	counts=$(scripts/count-tests "$1")
	read -r p f s <<<"$counts"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# configure DIR MESON_OPTION..., with $CC
configure() {
	[ -f "$1/build.ninja" ] || meson setup "$@"
}

build() {
	configure "$@"
	ninja -C "$1" -j "$jobs"
}

run_unit_tests() {
	# Without cmocka Meson leaves them out, and only the replayed corpora remain.
	if ! meson test -C "$1" --no-rebuild --list --suite unit | grep ' / ' >/dev/null; then
		echo "$1 has no unit tests: install libcmocka-dev (scripts/packages test), then meson setup --reconfigure $1"
		return 1
	fi
	rm -f "$1/meson-logs/testlog.json"
	meson test -C "$1" --no-rebuild --num-processes "$jobs" --timeout-multiplier 10 --print-errorlogs || true
	tally "$1/meson-logs/testlog.json"
}

# run_pytest DIR ARG...: against the server in that build folder. Most tests wait for disks and deadlines rather than
# for a core, so $workers files are run at a time.
workers=$((2 * jobs))
run_pytest() {
	local dir=$PWD/$1 report=$1/pytest-$suite.xml
	shift
	rm -f "$report"
	GSQ=$dir/gsq GSQ_WIRE_SERVER=$dir/tests/wire/server GSQ_BUILD=$dir \
		/usr/bin/python3 -m pytest -p no:cacheprovider --numprocesses=$workers --dist=loadfile -rs --durations=15 \
		--timeout=$test_deadline_s --junit-xml="$report" "$@" || true
	tally "$report"
}

has_go() {
	local version
	version=$(go env GOVERSION 2>/dev/null) || return 1
	printf '%s\n' $go_min "${version#go}" | sort --version-sort --check=quiet
}

# The real parts that tests run against; without Go those tests are skipped by name, unless they were built before.
build_tools() {
	if has_go; then tests/tools/build; fi
}

has_tool() {
	[ -x "${GSQ_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/gsq/tools}/bin/$1" ]
}
