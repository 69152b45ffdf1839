"""What on a host stands in the way of networks: other firewalls, ports, tunnels.

`findings` is pure, over what `look` reads. Each finding carries the command by which an operator
does something about it, for the rules of another program are that program's. `letting` runs such a
command, and only when an operator asked for that.
"""
