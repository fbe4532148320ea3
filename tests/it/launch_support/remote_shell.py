"""A remote shell between the hosts of tests: no keys and no encryption, else as ssh.

    remote_shell.py serve                  on each host
    remote_shell.py run HOST COMMAND…      runs the words, joined by blanks, in a shell there; exit code as there,
                                           255 if the host cannot be reached or is lost meanwhile
"""

import os
import signal
import socket
import subprocess
import sys
import threading

PORT = 514
# Seconds.
CONNECT_LIMIT = 5
LOST = 255


def serve():
    server = socket.create_server(("", PORT), backlog=64)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    """One line of command in, then its standard input; its output back, then NUL and the exit code."""
    with connection:
        command = bytearray()
        while not command.endswith(b"\n"):
            byte = connection.recv(1)
            if not byte:
                return
            command += byte
        child = subprocess.Popen(
            ["sh", "-c", os.fsdecode(bytes(command))], stdin=connection, stdout=connection, stderr=connection
        )
        code = child.wait()
        try:
            connection.sendall(b"\0%d" % (code if code >= 0 else 128 - code))
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def run(host, words):
    try:
        connection = socket.create_connection((host, PORT), timeout=CONNECT_LIMIT)
    except OSError as error:
        print(f"remote shell: {host}: {error}", file=sys.stderr)
        return LOST
    connection.settimeout(None)
    connection.sendall(os.fsencode(" ".join(words)) + b"\n")
    output, end = sys.stdout.buffer, b""
    while chunk := connection.recv(65536):
        # The exit code is what stands behind the last NUL.
        whole = end + chunk
        body, mark, end = whole.rpartition(b"\0")
        output.write(body if mark else whole)
        end = mark + end if mark else b""
        output.flush()
    return int(end[1:] or LOST)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if sys.argv[1] == "serve":
        serve()
    else:
        sys.exit(run(sys.argv[2], sys.argv[3:]))
