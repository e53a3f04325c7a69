#!/usr/bin/env bash
# Every check and every test of the workspace, those against real BGP daemons and half a minute of each fuzz target
# included. As root on a Debian machine it installs the daemons that are missing, without starting a service; what cannot
# run is skipped, by name and reason.
# The last line is `N passed, N failed, N skipped`; the exit status is 1 when anything failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

# What the interop tests use.
packages=(bird2 frr gobgpd exabgp openbgpd iproute2 iputils-ping)
# Longest time for all tests together: some three times what two slow cores need, so that a hang ends.
test_limit=25m

export CARGO_TERM_COLOR=never
passed=0 failed=0 skipped=0
failures=() skips=()
work=$(mktemp -d)
guard=/usr/sbin/policy-rc.d

cleanup() {
    if [[ -e $work/guarded ]]; then
        rm -f "$guard"
        if [[ -e $work/policy-rc.d ]]; then cp -a "$work/policy-rc.d" "$guard"; fi
    fi
    rm -rf "$work"
}
trap cleanup EXIT
runner=
trap 'if [[ $runner ]]; then kill "$runner"; wait; fi; exit 130' INT TERM

say() { printf '\n== %s\n' "$*"; }

skip() {
    skipped=$((skipped + 1))
    skips+=("$1: $2")
    printf '%s: skipped, %s\n' "$1" "$2"
}

# check NAME COMMAND...: one pass or one failure.
check() {
    local name=$1
    shift
    say "$name"
    if "$@"; then
        passed=$((passed + 1))
        printf '%s: ok\n' "$name"
    else
        failed=$((failed + 1))
        failures+=("$name")
        printf '%s: FAILED\n' "$name"
    fi
}

is_installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# Debian starts a service when its package is installed, unless policy-rc.d says no. Whatever stood there comes back.
forbid_services() {
    if [[ -e $guard ]]; then cp -a "$guard" "$work/policy-rc.d"; fi
    touch "$work/guarded"
    printf '#!/bin/sh\nexit 101\n' >"$guard"
    chmod 755 "$guard"
}

# The services of a package stay off after the next boot as well.
disable_services() {
    command -v systemctl >/dev/null || return 0
    local unit
    for unit in $(dpkg -L "$1" | sed -n 's|.*/systemd/system/\([^/@]*\.service\)$|\1|p'); do
        systemctl disable --quiet "$unit" 2>/dev/null || true
    done
}

install_packages() {
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
    local package missing=()
    for package in "${packages[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "Debian packages: ${missing[*]}"
    if ((EUID != 0)); then
        echo "not root: not installed"
        return 0
    fi
    forbid_services
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
    "${apt[@]}" update
    # One package that cannot be had must not keep the others away.
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}" ||
        for package in "${missing[@]}"; do
            "${apt[@]}" install -y --no-install-recommends "$package" || echo "$package cannot be installed"
        done
    for package in "${missing[@]}"; do
        if is_installed "$package"; then disable_services "$package"; fi
    done
}

# has_tool NAME COMPONENT: a minimal Rust installation lacks clippy and rustfmt; rustup may be there to fetch them.
has_tool() {
    cargo "$1" --version >/dev/null 2>&1 && return
    command -v rustup >/dev/null && rustup component add "$2" >/dev/null 2>&1 && cargo "$1" --version >/dev/null 2>&1
}

# without CRATE NAME...: none of these stands anywhere under the crate.
without() {
    local crate=$1 tree name bad=0
    shift
    tree=$(cargo tree --quiet --package "$crate" --edges normal,build --target all --prefix none) || return
    for name in "$@"; do
        if grep -q "^$name v" <<<"$tree"; then
            echo "$crate depends on $name:"
            cargo tree --package "$crate" --edges normal,build --target all --invert "$name" || true
            bad=1
        fi
    done
    return $bad
}

# The arrows between the crates only point downwards, and below the speaker there is no runtime, no socket, no clock and
# no randomness; who links the speaker gets no command line, no TOML and no HTTP.
layering() {
    local outside=(tokio mio socket2 async-std async-io smol polling futures libc nix rustix netlink-sys
        chrono time jiff quanta web-time humantime rand rand_core getrandom fastrand)
    local bad=0
    without bgp-wire "${outside[@]}" bgp-fsm bgp-rib bgp-speaker || bad=1
    without bgp-fsm "${outside[@]}" bgp-rib bgp-speaker || bad=1
    without bgp-rib "${outside[@]}" bgp-fsm bgp-speaker || bad=1
    without bgp-speaker clap toml serde serde_json hyper http axum || bad=1
    return $bad
}

# Adds the results of all suites of one `cargo test` to the sums.
count_tests() {
    local log=$1 line suite=
    while IFS= read -r line; do
        case $line in
        *Running\ *\(*\)) suite=$(sed -E 's|.*/([^/]*)-[0-9a-f]+\)$|\1|' <<<"$line") ;;
        *Doc-tests\ *) suite="${line##*Doc-tests } (documentation)" ;;
        'test result: '*)
            [[ $line =~ ([0-9]+)\ passed\;\ ([0-9]+)\ failed\;\ ([0-9]+)\ ignored ]] || continue
            passed=$((passed + BASH_REMATCH[1]))
            failed=$((failed + BASH_REMATCH[2]))
            skipped=$((skipped + BASH_REMATCH[3]))
            ;;
        'test '*' ... ignored'*)
            # `ignored, reason` from the standard harness, `ignored (reason)` from the interop tests.
            [[ $line =~ ^test\ (.*[^ ])\ +\.\.\.\ ignored(,\ (.*)|\ \((.*)\))?$ ]] || continue
            skips+=("$suite: ${BASH_REMATCH[1]}: ${BASH_REMATCH[3]:-${BASH_REMATCH[4]:-no reason given}}")
            ;;
        'test '*' ... FAILED'*)
            [[ $line =~ ^test\ (.*[^ ])\ +\.\.\.\ FAILED ]] && failures+=("$suite: ${BASH_REMATCH[1]}")
            ;;
        esac
    done <"$log"
}

# All tests, the ones that are marked as slow as well; what cannot run here says so itself. They run in the background,
# in a process group of their own that `timeout` ends as one, so that an interrupted script leaves nothing behind.
tests() {
    say "tests"
    local before=$failed status
    # It is there before anybody follows it.
    : >"$work/log"
    timeout --kill-after=10s "$test_limit" cargo test --workspace --no-fail-fast -- --include-ignored \
        >"$work/log" 2>&1 </dev/null &
    runner=$!
    tail -n +1 -s 0.3 -f --pid="$runner" "$work/log" &
    wait "$runner"
    status=$?
    runner=
    wait
    count_tests "$work/log"
    # It did not compile, a test program crashed, or time was over.
    if ((status != 0 && failed == before)); then
        failed=$((failed + 1))
        failures+=("cargo test (exit status $status)")
    fi
}

# Half a minute of each fuzz target; where the tools for it are missing and cannot be had, the reason why.
fuzzing() {
    say "fuzz targets"
    local status
    fuzz/smoke.sh 2>&1 | tee "$work/fuzz"
    status=${PIPESTATUS[0]}
    case $status in
    0)
        passed=$((passed + 1))
        echo "fuzz targets: ok"
        ;;
    77) skip "fuzz targets" "$(sed -n '$s/^cannot run: //p' "$work/fuzz")" ;;
    *)
        failed=$((failed + 1))
        failures+=("fuzz targets")
        echo "fuzz targets: FAILED"
        ;;
    esac
}

install_packages
if has_tool fmt rustfmt; then
    check "formatting" cargo fmt --all --check
else
    skip "formatting" "rustfmt is not installed (rustup component add rustfmt)"
fi
check "layering" layering
if has_tool clippy clippy; then
    check "clippy" cargo clippy --quiet --workspace --all-targets -- -D warnings
else
    skip "clippy" "clippy is not installed (rustup component add clippy)"
fi
check "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps
tests
fuzzing

if ((${#skips[@]})); then
    say "skipped"
    printf '  %s\n' "${skips[@]}"
fi
if ((${#failures[@]})); then
    say "failed"
    printf '  %s\n' "${failures[@]}"
fi
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
