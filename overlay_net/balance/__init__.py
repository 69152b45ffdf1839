"""Virtual addresses of services, in the namespace of each container, by nftables alone.

`view` tells what a network's services mean (pure), `Balance.apply` makes it so in one container,
and ends the connections to backends that are gone. New connections go in turn to the tasks that
serve, or by the client's address; those that exist go on to where they went.
"""
