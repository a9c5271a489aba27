#!/bin/sh
# Scans a small internet made on the spot: namespaces if this user may make them, else 127.0.0.0/8.
set -eu
cd "$(dirname "$0")/.."
portulan=${PORTULAN:-$PWD/.venv/bin/portulan}
lab=demo-$$
charts=${PORTULAN_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/portulan}/charts
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps nft and tcpdump, out of an ordinary user's sight

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
notes=$(mktemp)
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

how=''
if ! command -v nft >/dev/null; then
    how=--local
    echo "nft is missing (apt-get install nftables): the lab does without namespaces and firewalls"
fi

say "A harbour of our own: seven machines, real services, two firewalls. Nothing leaves this machine."
trap '"$portulan" lab down "$lab" 2>/dev/null || :; rm -f "$notes"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'exit 141' PIPE # | head
up() { "$portulan" lab up harbour --name "$lab" "$@" 2>"$notes" || { cat "$notes" >&2; return 1; }; }
# A container may allow namespaces and yet forbid what goes into them: then loopback it is.
up $how || up --local
head -n 1 "$notes"

# shellcheck disable=SC2016 # the lab sets these variables inside
inside='set -f; echo "\$ portulan scan $PORTULAN_LAB_TARGETS -p $PORTULAN_LAB_PORTS"
exec "$0" scan $PORTULAN_LAB_TARGETS -p "$PORTULAN_LAB_PORTS"'
echo
"$portulan" lab run --name "$lab" -- sh -c "$inside" "$portulan"

chart=$(ls -dt "$charts"/*/ 2>/dev/null | head -n 1)
chart=${chart%/}
[ -n "$chart" ] || { echo "demo: no chart under $charts" >&2; exit 2; }
say "What was shown is kept"
echo "the chart:    $chart/events.jsonl"
if [ -s "$chart/evidence.pcapng" ]; then
    echo "its evidence: $chart/evidence.pcapng (Wireshark opens it)"
    # shellcheck disable=SC2046 # four words: address, port, and two packet numbers
    set -- $("$(dirname "$portulan")/python" -c '
import pathlib, sys, portulan
port = portulan.open_chart(pathlib.Path(sys.argv[1])).open_ports()[0]
print(port.addr, port.port, *port.frames)' "$chart")
    # On standard input, since tcpdump gives up its rights before it opens a file of ours.
    proof=$(tcpdump -nn -t -r - <"$chart/evidence.pcapng" 2>/dev/null | sed -n "$3p;$4p" || :)
    if [ -n "$proof" ]; then
        say "The proof that $1 has port $2 open: frames $3 and $4, as tcpdump reads them"
        echo "$proof"
    fi
else
    echo "no frames:    a connect scan asks the kernel and sees no packets; namespaces would show them"
fi

# shellcheck disable=SC2016 # the lab sets these variables inside
closer='set -f; set -- "$0" scan -A --no-keep -n "${PORTULAN_LAB_TARGETS%% *}" -p "22,80,443,8000-9000"
echo "\$ portulan ${*#"$0"}" | tr -s " "; exec "$@"'
say "What runs there: services, systems, what a careful look shows (-A)"
"$portulan" lab run --name "$lab" -- sh -c "$closer" "$portulan" 2>/dev/null || :

say "Your turn"
echo "portulan lab up; portulan lab run -- sh     a shell on the scanner's place in the harbour"
echo "portulan lab show                           the answer sheet"
echo "portulan charts list                        what is kept"
