"""A file in which the containers of all hosts note when they begin, in the order of time."""

BEGUN = (
    *("--health-cmd", 'grep -q "start $(hostname)" /shared/journal'),
    *("--health-interval", "200ms", "--health-timeout", "20s"),
    *("--health-start-interval", "200ms", "--health-start-period", "30s"),
)
"""Flags: a task runs once it has noted so in /shared/journal. Without them a swarm goes on as soon
as its process is there, and what comes next may be noted before.
"""
