"""How the state of a member reads in a transcript."""

from manager.raft.core.progress import Progress
from tests.support.raft_script.host import Host
from tests.support.raft_script.ready_text import role_text
from tests.support.raft_script.words import conf_text, entry_text


def status_line(host: Host) -> str:
    """One line: who it is, and how far its log goes on disk."""
    if host.raw is None:
        return f"{host.id} down"
    status = host.raw.status()
    hard, soft = status.hard_state, status.soft_state
    disk = host.disk
    return (
        f"{host.id} {role_text(soft.role)} term={hard.term} vote={hard.vote} leader={soft.leader}"
        f" commit={hard.commit} applied={status.applied}"
        f" log={disk.first_index()}..{disk.last_index()}/{disk.term(disk.last_index())}"
    )


def status_lines(host: Host) -> list[str]:
    """The line above, the configuration, and what a leader knows of the others."""
    lines = [status_line(host)]
    if host.raw is None:
        return lines
    status = host.raw.status()
    lines.append(f"  {conf_text(status.config.conf_state())}")
    for raft_id, progress in sorted(status.progress.items()):
        lines.append(f"  {raft_id} {progress_text(progress)}")
    if status.transfer_target:
        lines.append(f"  transfer to {status.transfer_target}")
    return lines


def progress_text(progress: Progress) -> str:
    parts = [progress.state.name.lower(), f"match={progress.match}", f"next={progress.next}"]
    if progress.pending_snapshot:
        parts.append(f"snapshot={progress.pending_snapshot}")
    if progress.inflights.count:
        parts.append(f"inflight={progress.inflights.count}")
    marks = {
        "full": progress.inflights.full(),
        "paused": progress.is_paused(),
        "learner": progress.is_learner,
        "inactive": not progress.recent_active,
    }
    return " ".join([*parts, *(mark for mark, holds in marks.items() if holds)])


def log_lines(host: Host) -> list[str]:
    """The entries on the disk, and which of them are committed."""
    disk = host.disk
    first, last = disk.first_index(), disk.last_index()
    hard, _conf = disk.initial_state()
    lines = [
        f"  ..{first - 1}/{disk.term(first - 1)} compacted" if first > 1 else "  from the start"
    ]
    entries = disk.entries(first, last + 1, 1 << 62) if last >= first else []
    for entry in entries:
        lines.append(f"  {entry_text(entry)}{' committed' if entry.index <= hard.commit else ''}")
    return lines
