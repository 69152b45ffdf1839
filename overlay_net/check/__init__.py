"""Whether networks of a host do what they ought to, found out without changing anything.

`links`, `names` and `reach` are pure: they say in words what differs, and why that may be. `ping`
and `ask` are thin shells that find out; what differs in nftables is told by the parts that keep the
tables. Nothing is mended here: that is for whoever keeps what is wrong.
"""
