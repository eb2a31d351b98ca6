"""The peers by name, in the order in which they take turns."""

from peers.direct import Direct
from peers.envoy import Envoy
from peers.haproxy import Haproxy
from peers.litellm import Litellm
from peers.nginx import Nginx
from peers.portkey import Portkey
from peers.tollgate import Dataplane, Everything, Hit, Like, Tollgate

PEERS = {peer.name: peer for peer in (Direct, Nginx, Haproxy, Envoy, Litellm, Portkey, Tollgate, Everything, Hit, Like,
                                  Dataplane)}
USUAL = [name for name in PEERS if name != "dataplane"]
