#!/bin/sh
# Make captures of real servers and clients of this machine, in network namespaces of their own.
# OUT.pcap: HTTP, TLS of several versions and clients, SSH, SNMP, Telnet, ICMP, refused ports, over
# IPv4 and IPv6. OUT-wire.pcap: spanning tree, OSPF, BGP, VXLAN and ARP between two machines.
# What is not installed is left out and told; Debian has all: curl openssl gnutls-bin
# openssh-server dropbear-bin snmpd snmp inetutils-telnetd telnet socat bird2 tcpdump.
# Usage (root): tools/make_captures.sh OUT.pcap
set -eu
out=$(realpath -m "${1:?usage: make_captures.sh OUT.pcap}")
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
have() {
    for name; do
        command -v "$name" >/dev/null || { echo "left out: $name is not installed" >&2; return 1; }
    done
}
ip link set lo up
cd "$folder"
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 1 \
    -subj /CN=shop.example 2>/dev/null
start tcpdump --immediate-mode -q -U -i lo -w capture.pcap
mkdir folder
start python3 -m http.server 8000 --bind ::
start openssl s_server -quiet -www -accept 8443 -key key -cert cert -alpn http/1.1

ssh=no
if have sshd ssh ssh-keygen; then
    ssh=yes
    ssh-keygen -q -t ed25519 -N '' -f hostkey
    mkdir -p /run/sshd
    start "$(command -v sshd)" -D -h "$folder/hostkey" -p 22 -o PidFile=none -f /dev/null
fi
if have snmpd snmpget; then
    printf '%s\n' 'rocommunity public' 'createUser me SHA longpassword AES longpassword' \
        'rouser me noauth' >snmpd.conf
    SNMP_PERSISTENT_DIR="$folder/snmp" start snmpd -f -Lo -C -c snmpd.conf -p "$folder/pid" \
        udp:127.0.0.1:161
fi
if have telnetd socat telnet; then
    start socat TCP-LISTEN:23,fork,reuseaddr EXEC:"$(command -v telnetd)"
fi

wire=no
if have bird; then
    wire=yes
    start unshare --net sleep 60
    other=$!
    sleep 0.3
    ip link add here type veth peer name there netns "$other"
    there() { nsenter -t "$other" -n -- "$@"; }
    ip link add bridge0 type bridge stp_state 1 forward_delay 200 hello_time 100
    ip link set here master bridge0
    ip addr add 10.9.0.1/24 dev bridge0
    there ip addr add 10.9.0.2/24 dev there
    ip link set bridge0 up
    ip link set here up
    there ip link set there up
    there tcpdump --immediate-mode -q -U -i there -w "$folder/wire.pcap" >/dev/null 2>&1 &
    started="$started $!"
    for side in 1 2; do
        cat >"bird$side.conf" <<CONF
router id 10.9.0.$side;
protocol device {}
protocol static { ipv4; route 10.$side.0.0/16 blackhole; route 10.$side.3.0/24 blackhole; }
protocol ospf v2 { ipv4 { export all; }; area 0 { interface "bridge0", "there" { hello 1; wait 2; dead 4; }; }; }
protocol bgp { local 10.9.0.$side as 6500$side; neighbor 10.9.0.$((3 - side)) as 6500$((3 - side));
    ipv4 { import all; export where source = RTS_STATIC; }; connect delay time 1; }
CONF
    done
    start bird -f -c bird1.conf -s "$folder/bird1.ctl" -P "$folder/bird1.pid"
    there bird -f -c bird2.conf -s "$folder/bird2.ctl" -P "$folder/bird2.pid" >/dev/null 2>&1 &
    started="$started $!"
    if ip link add vx0 type vxlan id 77 dstport 4789 remote 10.9.0.2 local 10.9.0.1 2>/dev/null; then
        ip addr add 10.8.0.1/24 dev vx0
        ip link set vx0 up
        there ip link add vx0 type vxlan id 77 dstport 4789 remote 10.9.0.1 local 10.9.0.2
        there ip addr add 10.8.0.2/24 dev vx0
        there ip link set vx0 up
    fi
fi

sleep 1.5
for host in 127.0.0.1 '[::1]'; do
    for path in / /none /cert /folder; do curl -sg -o page "http://$host:8000$path" || true; done
    curl -skg -o page --resolve "shop.example:8443:$host" https://shop.example:8443/ || true
    curl -skg --tls-max 1.2 -o page --resolve "shop.example:8443:$host" \
        https://shop.example:8443/ || true
    curl -sg -o page "http://$host:9/" || true
done
if have gnutls-cli; then
    printf 'GET / HTTP/1.0\r\n\r\n' |
        gnutls-cli --insecure -p 8443 --sni-hostname shop.example 127.0.0.1 >/dev/null 2>&1 || true
fi
openssl s_client -connect 127.0.0.1:8443 -servername other.example -tls1_2 </dev/null \
    >/dev/null 2>&1 || true
if [ $ssh = yes ]; then
    ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -F /dev/null \
        me@127.0.0.1 true 2>/dev/null || true
    if have dbclient; then dbclient -y -y -T me@127.0.0.1 true </dev/null >/dev/null 2>&1 || true; fi
fi
if have snmpget; then
    snmpget -v2c -c public -t 1 -r 0 127.0.0.1 1.3.6.1.2.1.1.1.0 >/dev/null 2>&1 || true
    snmpget -v3 -u me -l noAuthNoPriv -t 1 -r 0 127.0.0.1 1.3.6.1.2.1.1.3.0 >/dev/null 2>&1 || true
    snmpget -v3 -u me -l authPriv -a SHA -A longpassword -x AES -X longpassword -t 1 -r 0 \
        127.0.0.1 1.3.6.1.2.1.1.3.0 >/dev/null 2>&1 || true
fi
if have telnet; then
    (sleep 0.7; printf 'me\r\n'; sleep 0.3) | telnet 127.0.0.1 >/dev/null 2>&1 || true
fi
ping -q -c 2 127.0.0.1 >/dev/null || true
ping -q -c 2 ::1 >/dev/null || true
printf 'SSH-2.0-test\r\n' | nc -w 1 127.0.0.1 8000 >/dev/null || true
if [ $wire = yes ]; then
    sleep 6
    ping -q -c 2 -W 1 10.9.0.2 >/dev/null || true
    ping -q -c 2 -W 1 10.8.0.2 >/dev/null || true
fi
sleep 0.5
cp capture.pcap "$out"
[ $wire = no ] || cp wire.pcap "${out%.pcap}-wire.pcap"
