"""Published ports: every node answers them, and a task sees the client's own address.

`host` is a node's side: a connection to one of its addresses is led to a task that serves. `task`
is that of a published task: it sends each answer back through the node that the connection came by,
which it knows by the hardware address of that node's leg in the ingress network. Both are pure;
`Ingress` makes it so. Links, addresses and tunnels of that network are the fabric's.
"""
