"""Streams and datagrams through the kernel: what needs no right at all.

Touches ordinary sockets only; raw ones are `link`'s. `connects` asks many ports at once with
non-blocking `connect()`.

What the verbs stand on, each with its contract in its file:
    endpoint   `Endpoint.parse("tls://host:443?alpn=h2")`, `str()` is the way back
    options    what an endpoint's query may say: one table
    stream     `Stream`: read (b"" at the end), write, write_eof, close, abort, peer, local, facts,
               received, sent; `SocketStream` for TCP and Unix (`.sock` is there for splice)
    tls        `client_context`, `server_context`, `TlsStream` over any Stream, half close both ways
    pipes      `PipeStream` for exec, stdio and files
    datagram   `Datagrams`: receive, send
    dial       `await dial(endpoint) -> Stream`, `dial_datagrams`; `DialError` is one line
    acceptor   `await listen(endpoint, handler, ...) -> Acceptor`, `bind_datagrams`
    access     `AccessList.of(allow, deny)`, `Rate`: the notation of scans, mapped addresses, nets
    converse   our pipes and a peer; `copy` carries one direction and its end
    coding     character sets, hex, base64, safe text for terminals, hex dumps: piece by piece
    room       many clients who hear each other; services: echo, programs, datagrams of many
    idle       `IdleStream`: any stream that gives up on silence
    faults     `words(error)`: what went wrong, as words
Errors of streams are `OSError`s (`ssl.SSLError` is one); of dialing `DialError`; of listening and
of texts `UsageError` or `PrivilegeError`.
"""
