#!/usr/bin/env bash
# Routes per second into the kernel and out of it, one after the other in one run: `ip -batch`, BIRD and the route-reflector.
#
#   cargo build --release -p route-reflector && sudo benches/kernel-routes.sh [PROGRAM]
#
# The two speakers hear the routes from a BIRD in a network namespace of its own, over one session with one set of attributes,
# and their time is from the command that makes it tell (or withdraw) them until the kernel holds all (or none).
# ROUTES (100000) and RUNS (3; the median counts) say how many.
set -euo pipefail

program=${1:-${CARGO_TARGET_DIR:-target}/release/route-reflector}
routes=${ROUTES:-100000} runs=${RUNS:-3}
for tool in ip bird birdc "$program"; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" >&2 && exit 2; }
done
((EUID == 0)) || { echo "needs root, for network namespaces" >&2 && exit 2; }

work=$(mktemp -d)
feeder=kernel-routes-$$-feeder node=kernel-routes-$$-node
pids=()
cleanup() {
    local pid
    for pid in "${pids[@]}"; do
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    ip netns delete "$feeder" 2>/dev/null || true
    ip netns delete "$node" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

ip netns add "$feeder"
ip netns add "$node"
ip -n "$feeder" link add v0 type veth peer name v0 netns "$node"
ip -n "$feeder" address add 10.9.0.1/24 dev v0
ip -n "$node" address add 10.9.0.2/24 dev v0
for ns in "$feeder" "$node"; do
    ip -n "$ns" link set lo up
    ip -n "$ns" link set v0 up
done

# /24s from 20.0.0.0 on.
prefixes() { awk -v n="$routes" 'BEGIN { for (i = 0; i < n; i++) printf "%d.%d.%d.0/24\n", 20 + i / 65536, i / 256 % 256, i % 256 }'; }

now() { date +%s%N; }
held() { ip netns exec "$node" awk '/Prefixes:/ { print $2; exit }' /proc/net/fib_triestat; }
# until_held N: waits until the main table of the node has so many prefixes; prints the nanoseconds since START.
until_held() {
    local wanted=$1 start=$2 limit=$((SECONDS + 60))
    while (($(held) != wanted)); do
        ((SECONDS < limit)) || { echo "$(held) prefixes and not $wanted after a minute" >&2 && exit 1; }
        sleep 0.01
    done
    echo $(($(now) - start))
}

ask() { birdc -s "$work/feeder.ctl" "$@" >/dev/null; }
start() {
    ip netns exec "$node" setpriv --pdeathsig KILL "$@" >>"$work/log" 2>&1 &
    pids+=($!)
    last=$!
}
stop() {
    kill -9 "$last"
    wait "$last" 2>/dev/null || true
}

# The feeder tells its routes while its protocol `told` is enabled.
{
    printf 'log "%s" all;\nrouter id 10.9.0.1;\nprotocol device {}\nprotocol static told {\n  disabled;\n  ipv4;\n' "$work/feeder.log"
    prefixes | sed 's/.*/  route & blackhole;/'
    printf '}\nprotocol bgp node {\n  local 10.9.0.1 as 65000;\n  neighbor 10.9.0.2 as 65000;\n  passive;\n'
    printf '  ipv4 { import none; export all; next hop self; };\n}\n'
} >"$work/feeder.conf"
ip netns exec "$feeder" setpriv --pdeathsig KILL bird -f -c "$work/feeder.conf" -s "$work/feeder.ctl" &
pids+=($!)

cat >"$work/bird.conf" <<END
log "$work/bird.log" all;
router id 10.9.0.2;
protocol device {}
protocol direct { ipv4; }
protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }
protocol bgp feeder {
  local 10.9.0.2 as 65000;
  neighbor 10.9.0.1 as 65000;
  connect delay time 1; connect retry time 1; error wait time 1, 1;
  ipv4 { import all; export none; };
}
END
cat >"$work/ours.toml" <<END
asn = 65000
router-id = "10.9.0.2"
listen = "10.9.0.2:179"
kernel-export = true
control-socket = "$work/ours.sock"
[[neighbor]]
address = "10.9.0.1"
asn = 65000
connect-retry = 1
idle-hold-max = 1
END
prefixes | sed 's/.*/route add & via 10.9.0.1/' >"$work/add"
prefixes | sed 's/.*/route del &/' >"$work/del"

for _ in $(seq 100); do ask show status 2>/dev/null && break || sleep 0.1; done
own=$(held)
full=$((own + routes))

batch() {
    local begun
    begun=$(now)
    ip -n "$node" -batch "$work/add"
    in=$(until_held "$full" "$begun")
    begun=$(now)
    ip -n "$node" -batch "$work/del"
    out=$(until_held "$own" "$begun")
}

# speaker COMMAND...: one life of a speaker, from its session on.
speaker() {
    local begun
    start "$@"
    for _ in $(seq 300); do
        birdc -s "$work/feeder.ctl" show protocols node | grep -q Established && break
        sleep 0.1
    done
    # Its first table, which is empty, is done with.
    sleep 1
    begun=$(now)
    ask enable told
    in=$(until_held "$full" "$begun")
    sleep 1
    begun=$(now)
    ask disable told
    out=$(until_held "$own" "$begun")
    stop
    sleep 1
}

median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
report() {
    awk -v name="$1" -v in_="$2" -v out="$3" -v n="$routes" 'BEGIN {
        printf "%-16s  in %5.2f s  %7.0f routes/s    out %5.2f s  %7.0f routes/s\n",
            name, in_ / 1e9, n * 1e9 / in_, out / 1e9, n * 1e9 / out }'
}

printf '%d routes, median of %d; load %s\n' "$routes" "$runs" "$(cut -d' ' -f1-2 /proc/loadavg)"
declare -A ins outs
for _ in $(seq "$runs"); do
    for who in "ip -batch" "BIRD" "route-reflector"; do
        case $who in
        "ip -batch") batch ;;
        BIRD) speaker bird -f -c "$work/bird.conf" -s "$work/bird.ctl" ;;
        *) speaker "$program" run --config "$work/ours.toml" ;;
        esac
        ins[$who]+=" $in" outs[$who]+=" $out"
    done
done
for who in "ip -batch" "BIRD" "route-reflector"; do
    # Words are numbers.
    # shellcheck disable=SC2086
    report "$who" "$(median ${ins[$who]})" "$(median ${outs[$who]})"
done
