#!/bin/sh
# Make a capture of real servers and clients of this machine, in a network namespace of its own:
# HTTP, TLS with a server name, ICMP, refused ports, over IPv4 and IPv6.
# Usage (root): tools/make_captures.sh OUT.pcap
set -eu
out=$(realpath -m "${1:?usage: make_captures.sh OUT.pcap}")
if [ "${2:-}" != inside ]; then
    exec unshare --net --mount -- "$0" "$out" inside
fi
folder=$(mktemp -d)
started=""
finish() {
    for pid in $started; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$folder"
}
trap finish EXIT
ip link set lo up
cd "$folder"
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 1 \
    -subj /CN=shop.example 2>/dev/null
tcpdump --immediate-mode -q -U -i lo -w capture.pcap 2>/dev/null &
started="$started $!"
python3 -m http.server 8000 --bind :: >/dev/null 2>&1 &
started="$started $!"
openssl s_server -quiet -www -accept 8443 -key key -cert cert -alpn http/1.1 >/dev/null 2>&1 &
started="$started $!"
sleep 1.5
for host in 127.0.0.1 '[::1]'; do
    for path in / /none /cert; do curl -sg -o page "http://$host:8000$path" || true; done
    curl -skg -o page --resolve "shop.example:8443:$host" https://shop.example:8443/ || true
    curl -skg --tls-max 1.2 -o page --resolve "shop.example:8443:$host" \
        https://shop.example:8443/ || true
    curl -sg -o page "http://$host:9/" || true
done
ping -q -c 2 127.0.0.1 >/dev/null || true
ping -q -c 2 ::1 >/dev/null || true
printf 'SSH-2.0-test\r\n' | nc -w 1 127.0.0.1 8000 >/dev/null || true
sleep 0.5
cp capture.pcap "$out"
