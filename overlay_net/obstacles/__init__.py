"""What on a host stands in the way of networks: other firewalls, ports, tunnels.

`findings` is pure, over what `look` reads. Nothing is mended here: each finding carries the command
by which an operator does it, for the rules of another program are that program's.
"""
