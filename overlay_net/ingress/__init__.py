"""Published ports: every node answers them, and a task sees the client's own address.

`host` is a node's side: a connection to one of its addresses is led to a task that serves. `task`
is that of a published task: it sends each answer back through the node that the connection came by,
which it knows by the hardware address of that node's leg in the ingress network. Both are pure, as
`ports`, which reads what a node is told; `shell.Ingress` makes it so.

Links, addresses and tunnels of that network are the fabric's. A leg has to be there before
`apply_task`, and one that was made anew needs a look. Of a node that joins, tasks should be told no
later than it is told of them; of one that is down they go on to know, since clients may still come
by it. The host's own table is worth a look now and then: a restart of its firewall flushes all
tables.
"""
