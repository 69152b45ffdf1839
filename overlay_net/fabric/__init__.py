"""The fabric of a node: links, tunnels, forwarding entries, and the endpoints in its sandboxes.

`wanted.Wanted` takes what the managers tell (api/v1/network.proto) and the local sandboxes, and
gives the `picture.Picture` that this host ought to be. `observed` reads what it is, `plan.plan`
says what lies between as `operations`, `apply.Hands` carries them out, and `fabric.Fabric` does all
of it in turn. `sandboxes.Sandboxes` makes and removes the network namespaces of tasks.

It never decides addresses of networks, never resolves names, and balances nothing: those are
the managers', `overlay_net.dns` and `overlay_net.balance`.
"""
