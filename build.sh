#!/usr/bin/env bash
# Builds and checks generic-worker. Run it without arguments for its commands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

targets="darwin/amd64 darwin/arm64
freebsd/386 freebsd/amd64 freebsd/arm64
linux/386 linux/amd64 linux/arm linux/arm64
windows/386 windows/amd64 windows/arm64"

usage() {
	cat <<'TEXT'
usage: ./build.sh COMMAND

  build [--host]   static binaries for every platform into dist/, with checksums;
                   --host: only dist/generic-worker for this machine
  check            formatting, go vet for every platform, staticcheck, shell syntax
  vulnerabilities  known vulnerabilities in what is imported (asks vuln.go.dev)
  test [--require] [--no-skips] [PACKAGES]
                   all tests with the race detector; first installs what they need
                   (apt-get, as root on Debian and Ubuntu), elsewhere names it.
                   --require:  a missing tool is a failure, not a skipped test
                   --no-skips: list every skipped test and fail if there is one
                   CI=1 in the environment means both
                   GW_CORPUS names a folder with data of real
                   deployments, for the tests that need it
  bench            benchmarks
  fuzz [DURATION]  every fuzz target for DURATION each (default 10s)
TEXT
}

say() { printf 'build.sh: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# sha256_of prints "HASH  NAME" for each file, as sha256sum does.
sha256_of() {
	if has sha256sum; then
		sha256sum "$@"
	elif has shasum; then
		shasum -a 256 "$@"
	else
		sha256 -r "$@" | sed 's/ /  /'
	fi
}

# compile GOOS GOARCH FILE
compile() {
	local vcs=auto
	# Without git, or in a checkout owned by someone else, go cannot read the
	# version and would stop.
	git rev-parse HEAD >/dev/null 2>&1 || vcs=false
	GOOS=$1 GOARCH=$2 CGO_ENABLED=0 go build -buildvcs="$vcs" -trimpath -ldflags '-s -w' -o "$3" ./cmd/generic-worker
}

build() {
	local target os arch suffix=
	mkdir -p dist
	case "${1-}" in
	--host)
		[ "$(go env GOHOSTOS)" != windows ] || suffix=.exe
		compile "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" "dist/generic-worker$suffix"
		say "built dist/generic-worker$suffix"
		return
		;;
	"") ;;
	*) die "build does not know $1; it takes --host or nothing" ;;
	esac
	rm -f dist/generic-worker* dist/SHA256SUMS
	for target in $targets; do
		os=${target%/*} arch=${target#*/} suffix=
		[ "$os" != windows ] || suffix=.exe
		say "building $target"
		compile "$os" "$arch" "dist/generic-worker-$os-$arch$suffix"
	done
	(cd dist && sha256_of generic-worker-* >SHA256SUMS)
	say "built $(wc -l <dist/SHA256SUMS | tr -d ' ') binaries into dist/; checksums are in dist/SHA256SUMS"
}

check() {
	local failed=0 target os arch unformatted staticcheck
	[ $# -eq 0 ] || die "check takes no arguments"

	say "shell syntax"
	for script in build.sh .ci/run; do
		bash -n "$script" || failed=1
	done

	say "gofumpt"
	unformatted=$(go tool gofumpt -l .)
	if [ -n "$unformatted" ]; then
		say "not formatted; run: go tool gofumpt -w ."
		printf '%s\n' "$unformatted"
		failed=1
	fi

	for target in $targets; do
		os=${target%/*} arch=${target#*/}
		say "go vet for $target"
		GOOS=$os GOARCH=$arch CGO_ENABLED=0 go vet ./... || failed=1
	done

	# The path, because go tool itself would build the tool for the GOOS it is
	# to look at.
	staticcheck=$(go tool -n staticcheck)
	for os in linux darwin freebsd windows; do
		say "staticcheck for $os"
		GOOS=$os GOARCH=amd64 CGO_ENABLED=0 "$staticcheck" ./... || failed=1
	done

	[ "$failed" = 0 ] || die "check failed; what to mend is listed above"
	say "check passed"
}

vulnerabilities() {
	local answer status=0
	answer=$(go tool govulncheck "$@" ./... 2>&1) || status=$?
	printf '%s\n' "$answer"
	case "$status:$answer" in
	0:*) ;;
	*"fetching vulnerabilities"*)
		die "cannot reach vuln.go.dev, where the list of known vulnerabilities is; run this again with network access"
		;;
	*) die "govulncheck found something or could not run; its output is above" ;;
	esac
}

# c_compiler_works tells whether a C program can be built; the race detector
# needs it on most platforms.
c_compiler_works() {
	local out status=0
	out=$(mktemp)
	printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
		$(go env CC) -x c -o "$out" - >/dev/null 2>&1 || status=1
	rm -f "$out"
	return "$status"
}

# missing_packages prints the Debian packages that the tests need and that are
# not there.
missing_packages() {
	has git || echo git
	has curl || echo curl
	has gpg || echo gnupg
	has openssl || echo openssl
	has python3 || echo python3
	has node || echo nodejs
	has npm || echo npm
	# What others write, for internal/unpack to read.
	has bzip2 || echo bzip2
	has xz || echo xz-utils
	has zstd || echo zstd
	has lz4 || echo lz4
	has lzip || echo lzip
	has brotli || echo brotli
	has zip || echo zip
	has 7z || echo p7zip-full
	if [ "$(go env GOOS)" = linux ]; then
		c_compiler_works || echo gcc libc6-dev
		has qemu-arm-static || echo qemu-user-static
		# Without it nothing can be fetched from the Go proxy or for npm.
		[ -e /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki ] || echo ca-certificates
	fi
}

apt_install() {
	say "installing $*"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq && apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

# install_tools REQUIRED installs or names what the tests need.
install_tools() {
	local missing
	missing=$(missing_packages | paste -sd ' ' -)
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" = 0 ] && has apt-get; then
		# shellcheck disable=SC2086 # one word per package
		apt_install $missing || say "cannot install $missing with apt-get"
		missing=$(missing_packages | paste -sd ' ' -)
		[ -n "$missing" ] || return 0
	fi
	[ "$1" = 0 ] || die "the tests need these Debian packages or their like: $missing; install them and run this again"
	say "not installed: $missing (names of Debian packages); tests that need them will be skipped"
}

# race_flag prints -race where the race detector works.
race_flag() {
	case "$(go env GOOS)/$(go env GOARCH)" in
	linux/amd64 | linux/arm64 | linux/ppc64le | linux/s390x | freebsd/amd64 | windows/amd64)
		if c_compiler_works; then echo -race; fi
		;;
	darwin/*) echo -race ;;
	esac
}

run_tests() {
	local require=0 no_skips=0 race
	case "${CI-}" in
	"" | 0 | false) ;;
	*) require=1 no_skips=1 ;;
	esac
	while [ $# -gt 0 ]; do
		case "$1" in
		--require) require=1 ;;
		--no-skips) no_skips=1 ;;
		-*) die "test does not know $1; it takes --require, --no-skips and packages" ;;
		*) break ;;
		esac
		shift
	done
	[ $# -gt 0 ] || set -- ./...

	install_tools "$require"
	[ "$require" = 0 ] || export GW_REQUIRE_TOOLS=1
	race=$(race_flag)
	if [ -z "$race" ]; then
		[ "$require" = 0 ] || die "the race detector does not work on this machine; it needs a C compiler and a platform that Go supports it on"
		say "the race detector does not work on this machine: testing without it"
	fi

	# -count=1: a remembered pass says nothing about the tools of today.
	set -- ${race:+"$race"} -count=1 -timeout=20m "$@"
	if [ "$no_skips" = 1 ]; then
		# Data of others that is not part of this repository may be absent.
		if [ -n "${GW_CORPUS-}" ]; then
			go test -json "$@" | go run ./internal/archtest/noskip
		else
			go test -json "$@" | go run ./internal/archtest/noskip -absent GW_CORPUS
		fi
	else
		go test "$@"
	fi
}

bench() {
	go run ./internal/bench "$@"
}

fuzz() {
	local duration=${1-10s} found package target failed=0
	# go test -list prints the names of a package's targets, then "ok", the
	# package and the time.
	found=$(go test -list '^Fuzz' ./... | awk '
		/^Fuzz/ { names[++n] = $1 }
		$1 == "ok" { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }')
	[ -n "$found" ] || die "there are no fuzz targets"
	while read -r package target; do
		say "fuzzing $target of $package for $duration"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package" </dev/null || failed=1
	done <<<"$found"
	[ "$failed" = 0 ] || die "fuzzing found failures; their inputs are under testdata/fuzz of the packages named above"
}

main() {
	if [ $# -eq 0 ]; then
		usage
		exit 0
	fi
	local command=$1
	shift
	case "$command" in
	-h | --help | help)
		usage
		return
		;;
	build | check | vulnerabilities | test | bench | fuzz) ;;
	*)
		usage >&2
		die "there is no command $command"
		;;
	esac
	has go || die "cannot find go; install the version that go.mod names, or a later one, from https://go.dev/dl/"
	[ "$command" != test ] || command=run_tests
	"$command" "$@"
}

main "$@"
