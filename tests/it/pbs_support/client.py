"""A command of the fake PBS: client.py SOCKET NAME ARGUMENT…"""

import json
import os
import socket
import sys


def main():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
        request = {"name": sys.argv[2], "arguments": sys.argv[3:], "cwd": os.getcwd(), "environment": dict(os.environ)}
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = bytearray()
        while chunk := connection.recv(65536):
            answer += chunk
    if not answer:
        sys.exit(1)
    answer = json.loads(answer)
    sys.stdout.write(answer["out"])
    sys.stderr.write(answer["err"])
    sys.exit(answer["code"])


if __name__ == "__main__":
    main()
