"""The lab's DNS: answers for the names of services, SERVICE.NAMESPACE.svc.cluster.local, from the API server.

    names.py ADDRESS API TOKEN

Of a service with an address it gives the address, of one without, those of its ready pods. Other names do not
exist. CoreDNS would do the same; it takes minutes to build, and names are not what the lab tries.
"""

import json
import socket
import ssl
import struct
import sys
import urllib.error
import urllib.request

SUFFIX = ".svc.cluster.local"
TTL = 2  # seconds
A, IN, NOERROR, NXDOMAIN = 1, 1, 0, 3


class Services:
    def __init__(self, api, token):
        self.api, self.headers = api, {"Authorization": f"Bearer {token}"}
        self.context = ssl._create_unverified_context()  # loopback, with a certificate that the server made

    def get(self, path):
        request = urllib.request.Request(self.api + path, headers=self.headers)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=2) as reply:
                return json.load(reply)
        except (OSError, ValueError):
            return None

    def addresses(self, name):
        """The IPv4 addresses of a name; None when there is no such name."""
        labels = name.lower().removesuffix(".").removesuffix(SUFFIX).split(".")
        if not name.lower().rstrip(".").endswith(SUFFIX) or len(labels) != 2:
            return None
        service, namespace = labels
        found = self.get(f"/api/v1/namespaces/{namespace}/services/{service}")
        if not found:
            return None
        if found["spec"].get("clusterIP", "None") != "None":
            return [found["spec"]["clusterIP"]]
        slices = self.get(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
                          f"?labelSelector=kubernetes.io/service-name%3D{service}") or {"items": []}
        return [address for item in slices["items"] for endpoint in item.get("endpoints") or []
                if endpoint.get("conditions", {}).get("ready") for address in endpoint["addresses"]]


def question(packet):
    """(name, type, end of the question) of a query."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii"))
        at += 1 + packet[at]
    return ".".join(labels), struct.unpack_from(">H", packet, at + 1)[0], at + 5


def answer(packet, services):
    name, kind, end = question(packet)
    addresses = services.addresses(name)
    records = [socket.inet_aton(address) for address in addresses or [] if kind == A]
    code = NXDOMAIN if addresses is None else NOERROR
    header = packet[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, len(records), 0, 0)
    return header + packet[12:end] + b"".join(
        b"\xc0\x0c" + struct.pack(">HHIH", A, IN, TTL, len(record)) + record for record in records)


def main():
    address, api, token = sys.argv[1:]
    services = Services(api, token)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    while True:
        packet, client = server.recvfrom(4096)
        try:
            server.sendto(answer(packet, services), client)
        except (IndexError, UnicodeError, struct.error) as error:
            print(f"no query from {client}: {error}", flush=True)


if __name__ == "__main__":
    main()
