#!/bin/sh
# Make a capture of real downloads over a line that loses packets, before and behind the place of
# the capture: HTTP and TLS 1.2 and 1.3, over IPv4 and IPv6, a reader too slow for its server, a
# refused port, fragments, DNS. Debian has all: curl openssl nftables iproute2 tcpdump iputils-ping
# dnsmasq-base bind9-dnsutils (without the last two DNS is left out).
# Usage (root): tools/make_captures_loss.sh OUT.pcap
set -eu
out=$(realpath -m "${1:?usage: make_captures_loss.sh OUT.pcap}")
if [ "${2:-}" != inside ]; then
    # In a process namespace of its own, whose end is the end of all that was started.
    exec unshare --net --mount --pid --fork --kill-child --mount-proc -- "$0" "$out" inside
fi
PATH=$PATH:/usr/sbin:/sbin
folder=$(mktemp -d)
started=""
finish() {
    for pid in $started; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$folder"
}
trap finish EXIT
start() { "$@" >/dev/null 2>&1 & started="$started $!"; }
cd "$folder"
start unshare --net sleep 120
other=$!
sleep 0.3
there() { nsenter --net="/proc/$other/ns/net" -- "$@"; }
ip link set lo up
ip link add here type veth peer name there netns "$other"
ip address add 10.77.0.1/24 dev here
ip address add fd77::1/64 dev here nodad
ip link set here up gso_max_segs 1 gso_max_size 1600
there ip link set lo up
there ip address add 10.77.0.2/24 dev there
there ip address add fd77::2/64 dev there nodad
there ip link set there up gso_max_segs 1 gso_max_size 1600
lose() {  # at this hook, so many of 1000
    printf 'table inet lose_%s {\n chain lose {\n type filter hook %s priority -300\n' "$1" "$1"
    printf ' meta l4proto tcp numgen random mod 1000 < %s drop\n }\n}\n' "$2"
}
lose input 30 | nft -f -
lose output 20 | there nft -f -
lose input 20 | there nft -f -
head -c 1500000 /dev/urandom >big
head -c 20000 /dev/urandom >small
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 1 -subj /CN=lab.example \
    2>/dev/null
start there python3 -m http.server 80 --bind ::
start there openssl s_server -accept 443 -cert cert -key key -WWW -quiet
start there openssl s_server -accept 8443 -cert cert -key key -WWW -quiet -tls1_2
dns=no
if command -v dnsmasq >/dev/null && command -v dig >/dev/null; then
    dns=yes
    start there dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts \
        --port=53 --address=/lab.example/10.77.0.2 --pid-file="$folder/pid" --user=root
fi
start tcpdump --immediate-mode -B 32768 -s 2000 -q -U -i here -w capture.pcap
sleep 1
get() { curl -sk --max-time 20 -o /dev/null "$@" || true; }
loads=""
for number in 1 2 3 4; do
    get http://10.77.0.2/big & loads="$loads $!"
done
get --limit-rate 400k http://10.77.0.2/big & loads="$loads $!"
for number in 1 2 3 4 5; do
    get "http://[fd77::2]/small"
    get --resolve "www$number.example:443:10.77.0.2" "https://www$number.example/small"
    get --resolve "old$number.example:8443:10.77.0.2" "https://old$number.example:8443/small"
done
get http://10.77.0.2:81/
if [ $dns = yes ]; then
    for name in a.lab.example b.lab.example; do
        for kind in A AAAA TXT; do
            dig +time=1 +tries=2 @10.77.0.2 "$name" "$kind" >/dev/null || true
        done
    done
    dig +tcp +time=2 +tries=1 @fd77::2 c.lab.example >/dev/null || true
    dig +time=1 +tries=1 @fd77::2 no.other.example >/dev/null || true
fi
ping -c 2 -s 4000 -q 10.77.0.2 >/dev/null || true
for pid in $loads; do wait "$pid" || true; done
sleep 0.5
cp capture.pcap "$out"
