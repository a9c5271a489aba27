#!/bin/sh
# Make captures of real servers and clients of this machine, two network namespaces and a wire.
# OUT.pcap: DHCP, DHCPv6, router discovery, DNS over UDP and TCP, mDNS, TFTP, NTP, FTP, SMTP, POP3,
# IMAP, SIP, QUIC, SCTP, LLDP, PPPoE discovery, IGMP, MLD, IP options, fragments, ICMP errors.
# OUT-sll.pcap, OUT-sll2.pcap: some of it as Linux cooked captures. OUT-raw.pcap: a tunnel's raw IP.
# What is not installed is left out and told; Debian has all: dnsmasq isc-dhcp-client
# bind9-dnsutils curl avahi-daemon ntpsec ntpsec-ntpdig vsftpd python3-aiosmtpd dovecot-pop3d
# dovecot-imapd sip-tester caddy knot-dnsutils chromium libusrsctp-examples lldpd pppoe traceroute socat.
# Usage (root): tools/make_captures_services.sh OUT.pcap
set -eu
out=$(realpath -m "${1:?usage: make_captures_services.sh OUT.pcap}")
if [ "${2:-}" != inside ]; then
    exec unshare --net --mount --pid --fork --kill-child --mount-proc -- "$0" "$out" inside
fi
PATH=$PATH:/usr/sbin:/sbin
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mount -t tmpfs tmpfs /run # services leave their sockets there
export HOME="$folder" XDG_DATA_HOME="$folder"
have() {
    for name; do
        command -v "$name" >/dev/null || { echo "left out: $name is not installed" >&2; return 1; }
    done
}
start() { "$@" >/dev/null 2>&1 & }

unshare --net sleep 90 &
other=$!
sleep 0.3
there() { nsenter -t "$other" -n -- "$@"; }
client() { there timeout 6 "$@" >/dev/null 2>&1 || true; }
ip link set lo up
there ip link set lo up
ip link add here type veth peer name there netns "$other"
ip addr add 10.9.1.1/24 dev here
ip addr add fd09::1/64 dev here nodad
ip link set here up
echo 0 | there tee /proc/sys/net/ipv6/conf/there/accept_dad >/dev/null # DHCPv6 at once
there ip link set there up
there ip addr add 10.9.1.2/24 dev there
there ip addr add fd09::2/64 dev there nodad
start tcpdump --immediate-mode -q -U -i here -w wire.pcap
dumps=$!
for kind in SLL SLL2; do
    there tcpdump --immediate-mode -q -U -i any -y LINUX_$kind -w $kind.pcap >/dev/null 2>&1 &
    dumps="$dumps $!"
done

if have dnsmasq; then
    mkdir tftp
    seq 300 >tftp/boot.img
    chmod -R a+rX tftp
    start dnsmasq -d -C /dev/null --interface=here --bind-interfaces --no-resolv --no-hosts \
        --user=root --pid-file="$folder/dnsmasq.pid" --dhcp-leasefile="$folder/leases" \
        --address=/www.example/192.0.2.7 --address=/www.example/2001:db8::7 \
        --host-record=host.example,10.9.1.9 --cname=alias.example,host.example \
        --txt-record=t.example,hello --mx-host=example,mail.example,10 \
        --srv-host=_sip._udp.example,sip.example,5060 \
        --dhcp-range=10.9.1.100,10.9.1.110,1h --dhcp-range=fd09::100,fd09::1ff,64,1h --enable-ra \
        --domain=lab.example --dhcp-option=option:ntp-server,10.9.1.1 \
        --dhcp-option=option6:domain-search,lab.example \
        --dhcp-option='option6:dns-server,[fd09::1]' --dhcp-boot=boot.img \
        --enable-tftp --tftp-root="$folder/tftp"
fi
if have avahi-daemon; then
    printf '%s\n' '[server]' use-ipv6=yes enable-dbus=no host-name=chart '[publish]' \
        publish-workstation=yes >avahi.conf
    start avahi-daemon -f avahi.conf --no-drop-root --no-chroot --no-rlimits
fi
if have ntpd; then
    printf '%s\n' 'tos orphan 5' >ntp.conf
    start ntpd -n -c ntp.conf -p "$folder/ntp.pid"
fi
if have vsftpd; then
    mkdir -p ftp /run/vsftpd/empty
    echo hello >ftp/readme.txt
    printf '%s\n' listen=YES background=NO anonymous_enable=YES no_anon_password=YES \
        "anon_root=$folder/ftp" seccomp_sandbox=NO >vsftpd.conf
    start vsftpd "$folder/vsftpd.conf"
fi
if have dovecot; then
    mkdir -p mail/me
    chown -R nobody mail
    cat >dovecot.conf <<CONF
protocols = imap pop3
base_dir = $folder/dovecot
state_dir = $folder/dovecot-state
log_path = /dev/null
ssl = no
disable_plaintext_auth = no
mail_location = maildir:$folder/mail/%u
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$folder/mail/%u
}
CONF
    start dovecot -F -c "$folder/dovecot.conf"
fi
smtp=no
if /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null; then
    smtp=yes
    start /usr/bin/python3 -m aiosmtpd -n -l 10.9.1.1:25
else
    echo "left out: python3-aiosmtpd is not installed" >&2
fi
if have sipp; then start sipp -sn uas -i 10.9.1.1 -p 5060 -nostdin; fi
if have caddy; then
    printf '%s\n' '{' 'admin off' 'skip_install_trust' 'auto_https disable_redirects' '}' \
        'https://shop.example:443 {' 'tls internal' 'respond "hi"' '}' >Caddyfile
    start caddy run --config Caddyfile --adapter caddyfile
fi
if have lldpd; then there lldpd -d -u "$folder/lldpd" >/dev/null 2>&1 & fi
if have pppoe-server; then start pppoe-server -F -I here -C chart -S net -N 1; fi
if have /usr/lib/usrsctp/echo_server; then start /usr/lib/usrsctp/echo_server; fi

if have dhclient; then
    cat >bound <<'BOUND'
#!/bin/sh
case $reason in
BOUND) ip addr add "$new_ip_address/24" dev "$interface" ;;
BOUND6) ip addr add "$new_ip6_address/64" dev "$interface" nodad ;;
esac
BOUND
    chmod 755 bound
    printf '%s\n' 'send host-name "boat";' 'send vendor-class-identifier "sail";' >dhclient.conf
    sleep 0.5
    for version in 4 6; do
        client dhclient -1 "-$version" -d -sf "$folder/bound" -lf "$folder/lease$version" \
            -pf "$folder/dhclient$version.pid" -cf "$folder/dhclient.conf" there &
    done
fi
sleep 3

if have dig; then
    for kind in A AAAA MX ANY; do client dig +tries=1 +time=1 @10.9.1.1 www.example $kind; done
    client dig +tries=1 +time=1 +tcp @10.9.1.1 alias.example A
    client dig +tries=1 +time=1 @fd09::1 -x 10.9.1.9
    client dig +tries=1 +time=1 @fd09::1 t.example TXT _sip._udp.example SRV example MX \
        alias.example A nothere.example A
fi
for file in boot.img none; do client curl -s "tftp://10.9.1.1/$file"; done
client ntpdig -t 1 10.9.1.1
for file in '' readme.txt none; do client curl -s --disable-epsv "ftp://10.9.1.1/$file"; done
client curl -s imap://me:secret@10.9.1.1/ -X 'STATUS INBOX (MESSAGES)'
client curl -s pop3://me:secret@10.9.1.1/
if [ $smtp = yes ]; then
    printf 'Subject: x\r\n\r\nhello\r\n' | client curl -s smtp://10.9.1.1/me.example \
        --mail-from me@a.example --mail-rcpt you@b.example -T -
fi
client sipp -sn uac 10.9.1.1:5060 -i 10.9.1.2 -m 2 -r 10 -d 100 -nostdin
if have kdig; then # a hello in one packet
    client kdig +retry=0 +timeout=1 +tls-sni=shop.example +quic @10.9.1.1 -p 443 x.example
fi
if have chromium; then # a hello in two
    client chromium --headless --no-sandbox --disable-gpu --user-data-dir="$folder/chromium" \
        --origin-to-force-quic-on=shop.example:443 --dump-dom \
        --host-resolver-rules="MAP shop.example 10.9.1.1, MAP * ~NOTFOUND" https://shop.example/
fi
client pppoe-discovery -I there -t 1 -a 1
(echo hello; sleep 0.5) | client /usr/lib/usrsctp/client 10.9.1.1 7 0 0 0
client traceroute -n -q 1 -w 0.3 -m 2 10.9.1.1
client ping -q -c 1 -R 10.9.1.1
client ping -q -c 1 -T tsonly 10.9.1.1
client ping -q -c 1 -s 3000 10.9.1.1
client ping -q -c 1 -s 3000 fd09::1
for version in 2 3; do # a host asks for a group in the version that its router speaks
    echo $version >/proc/sys/net/ipv4/conf/here/force_igmp_version
    timeout 0.4 socat -u "UDP4-RECV:5001,ip-add-membership=239.1.2.$version:here" - || true
done
if have socat; then
    start socat UDP-LISTEN:5002,bind=10.9.1.1 TUN:10.7.0.1/24,tun-type=tun,iff-no-pi,iff-up
    there socat UDP:10.9.1.1:5002 TUN:10.7.0.2/24,tun-type=tun,iff-no-pi,iff-up,tun-name=tun9 \
        >/dev/null 2>&1 &
    sleep 0.4
    there tcpdump --immediate-mode -q -U -i tun9 -w raw.pcap >/dev/null 2>&1 &
    dumps="$dumps $!"
    sleep 0.5
    client ping -q -c 2 -i 0.2 10.7.0.1
    client curl -s http://10.7.0.1:9/
fi
sleep 0.5
# shellcheck disable=SC2086
kill $dumps 2>/dev/null || true
sleep 0.2
cp wire.pcap "$out"
for kind in SLL SLL2 raw; do
    [ ! -s $kind.pcap ] || cp $kind.pcap "${out%.pcap}-$(echo $kind | tr SL sl).pcap"
done
