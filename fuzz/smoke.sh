#!/usr/bin/env bash
# A short run of every fuzz target, two at a time; the seeds are replayed on the stable toolchain before. Exit status 0:
# nothing was found; 1: something was; 77: it cannot run here, and the last line says why.
#
# SECONDS_EACH (default 30) is the time of one target. What the runs find worth keeping goes to `fuzz/corpus`, what breaks
# a target to `fuzz/artifacts`.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${SECONDS_EACH:-30}
targets=(frame open update notification refresh round_trip view_owned nlri rib)
logs=$(mktemp -d)
declare -A running=()

cleanup() {
    local pid
    for pid in "${!running[@]}"; do kill "$pid" 2>/dev/null; done
    rm -rf "$logs"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

unable() {
    printf 'cannot run: %s\n' "$*"
    exit 77
}

# The seeds, without any of what fuzzing needs.
cargo test --quiet --manifest-path ../Cargo.toml --package bgp-wire --test wire corpus:: || exit 1
cargo test --quiet --manifest-path ../Cargo.toml --package bgp-rib --test rib octets:: || exit 1

cargo fuzz --version >/dev/null 2>&1 || {
    echo "cargo-fuzz is not installed: installing it"
    timeout 10m cargo install --quiet --locked cargo-fuzz >"$logs/install" 2>&1 || {
        tail -n 3 "$logs/install"
        unable "cargo-fuzz is not installed, and cannot be"
    }
}

# Without a sanitizer the nightly compiler is not needed: there is no unsafe code below the speaker to watch.
# RUSTC_BOOTSTRAP lets a stable one take what cargo-fuzz asks of it.
triple=$(rustc -vV | sed -n 's/^host: //p')
RUSTC_BOOTSTRAP=1 timeout 15m cargo fuzz build --sanitizer none --target "$triple" >"$logs/build" 2>&1 || {
    tail -n 20 "$logs/build"
    # Code of ours that does not compile is a failure, not a missing tool.
    if grep -q 'could not compile `bgp-' "$logs/build"; then exit 1; fi
    unable "the fuzz targets do not build with this toolchain"
}
programs=${CARGO_TARGET_DIR:-target}/$triple/release

run() {
    local name=$1
    mkdir -p "corpus/$name" artifacts
    # Ten seconds for one input, which takes microseconds, is a hang on however slow a machine.
    exec timeout $((seconds + 60)) "$programs/$name" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
        -artifact_prefix="artifacts/$name-" "corpus/$name" "seeds/$name" >"$logs/$name" 2>&1
}

failed=0
# Waits for one of those that run, and says how it ended.
reap() {
    local pid status name runs
    wait -n -p pid "${!running[@]}"
    status=$?
    name=${running[$pid]}
    unset "running[$pid]"
    if ((status == 0)); then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$name")
        printf '%-13s ok, %s runs in %s s\n' "$name" "${runs:-?}" "$seconds"
    else
        failed=1
        printf '%-13s FAILED (exit status %s)\n' "$name" "$status"
        tail -n 30 "$logs/$name"
    fi
}

for name in "${targets[@]}"; do
    while ((${#running[@]} >= 2)); do reap; done
    run "$name" &
    running[$!]=$name
done
while ((${#running[@]})); do reap; done
exit $failed
