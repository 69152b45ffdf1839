"""Every figure that is measured, in the order of the table."""

from benchmarks.figure import Figure

_ALL = (
    Figure(
        "create_1",
        "create a service of 1 task, until it runs",
        "s",
        0.15,
        "0.53",
        "half in crun and conmon; else pauses in which entries (5 ms) and reports (20 ms) "
        "are gathered",
    ),
    Figure(
        "create_10",
        "the same of 10 tasks",
        "s",
        0.5,
        "1.6",
        "crun and conmon, four at a time on two cores",
    ),
    Figure(
        "create_100",
        "the same of 100 tasks",
        "s",
        4,
        "12-20",
        "both cores are busy nearly all the time: see cpu_per_start",
    ),
    Figure(
        "cpu_per_start",
        "CPU of everything per task start, daemon, runtime and the task itself",
        "s",
        0.05,
        "0.23-0.30",
        "the daemon two fifths, crun a third, conmon a sixth; three quarters in the kernel, half "
        "of that making files",
    ),
    Figure(
        "pss_per_task",
        "memory of the monitor per running task",
        "MiB",
        0.6,
        "2.5",
        "conmon's own pages; those of its libraries are shared by all",
    ),
    Figure(
        "rm_100",
        "remove a service of 100 tasks that obey SIGTERM, until no trace is left",
        "s",
        2,
        "9.6",
        "crun delete and unmounting, four at a time",
    ),
    Figure(
        "update_20",
        "rolling update of 20 tasks, one at a time, delay 0, monitor 0",
        "s",
        6,
        "41.6",
        "per task: a stop, a start as in create_1, and the pauses of the loops",
    ),
    Figure(
        "cli_start",
        "`swarmctl service ls`, whole process",
        "s",
        0.25,
        "0.025",
        "imports: click, logging, protobuf 33 ms, gRPC 25, API and commands 17; the call 5",
    ),
    Figure(
        "writes_1",
        "services of 0 replicas created per second, one after another, 1 manager",
        "1/s",
        400,
        "1151",
        "gRPC on both sides, the sync (a fifth), then the loops that each entry wakes",
        better="higher",
    ),
    Figure(
        "failover_worker",
        "worker lost (link cut, then killed) to its tasks running elsewhere, heartbeat 2 s",
        "s",
        7.5,
        "15.7-21",
        "three missed heartbeats; the rest is a start",
    ),
    Figure(
        "idle_rss",
        "one idle node that is manager and worker, RSS of all processes",
        "MiB",
        95,
        "138",
        "modules, in MiB: asyncio with OpenSSL 11, gRPC 10, cryptography 11, httpx 8 (half for "
        "its own command line)",
    ),
    Figure(
        "sched_1k",
        "1,000 one-off tasks placed on 1,000 nodes",
        "s",
        0.1,
        "0.19",
        "copying tasks and applying them to the store",
    ),
    Figure(
        "sched_10k",
        "10,000 one-off tasks placed on 1,000 nodes",
        "s",
        0.5,
        "1.7",
        "copying tasks and applying them to the store",
    ),
    Figure(
        "sched_100k",
        "100,000 one-off tasks placed on 1,000 nodes",
        "s",
        4,
        "19.6",
        "copying tasks and applying them to the store",
    ),
)

FIGURES = {figure.name: figure for figure in _ALL}
