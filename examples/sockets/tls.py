"""TLS: the same stream, encrypted, and with a peer that proves who it is.

    python examples/sockets/tls.py          needs the program `openssl`, for a certificate

A client that does not verify is protected against nobody who can stand in between: what fails
below, fails for good reason.
"""

import socket
import ssl
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path


def certificate(folder: str, name: str) -> tuple[str, str]:
    """Make a certificate that is its own authority, for a day."""
    cert, key = str(Path(folder, "cert.pem")), str(Path(folder, "key.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "1", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            conn, _ = listener.accept()
        except OSError:
            return
        # The handshake is work for the server too: a client that breaks it off is no reason to end.
        with suppress(OSError), context.wrap_socket(conn, server_side=True) as secure:
            secure.sendall(secure.recv(100).upper())


def ask(address: tuple[str, int], context: ssl.SSLContext, name: str) -> None:
    with socket.create_connection(address, timeout=5) as sock:
        try:
            # server_hostname is both asked for (SNI) and compared with the certificate.
            with context.wrap_socket(sock, server_hostname=name) as secure:
                secure.sendall(b"secret")
                print(f"{name}: {secure.recv(100).decode()}, {secure.version()}, "
                      f"{secure.selected_alpn_protocol()}")
        except ssl.SSLCertVerificationError as error:
            print(f"{name}: {error.verify_message}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(folder, "harbour.test")
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(cert, key)
        server.set_alpn_protocols(["talk/1"])
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener, server))
            thread.start()
            address = listener.getsockname()

            # create_default_context() verifies the chain and the name: keep it that way.
            trusting = ssl.create_default_context(cafile=cert)
            trusting.set_alpn_protocols(["talk/1"])
            ask(address, trusting, "harbour.test")
            ask(address, trusting, "other.test")  # right authority, wrong name
            ask(address, ssl.create_default_context(), "harbour.test")  # unknown authority
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


if __name__ == "__main__":
    main()
