"""Virtual addresses of services, in the namespace of each container, by nftables alone.

`views.view` tells what a network's services mean (pure, one per network, shared by its containers),
`shell.Balance.apply` makes it so in one container, and ends the connections to backends that are
gone: whose endpoint is, or whose node is down (`backends.Gathering`). New connections go in turn
to the tasks that serve, or by the client's address; those that exist go on to where they went.

Rules are there before a container starts, and go with its namespace; `forget` it first, for what
is remembered of a namespace keeps it alive. A daemon that starts just applies: what is right stays.
"""
