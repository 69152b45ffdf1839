"""The steps of a container's life, one blocking function each: for worker threads.

Each leaves the disk such that a successor can go on after a crash at any point: a record says what
was being done, and the making and unmaking of a container can be repeated. Keeps no state in
memory but what it found out about the host.
"""

import contextlib
import json
import logging
import os
from dataclasses import replace

from api.errors import Code, SwarmError
from api.new_ids import new_id
from hostkit import cgroup, mount, pidfd
from hostkit.clock import Clock
from hostkit.removal import remove_tree
from runtime import (
    beside,
    binds,
    bpf,
    bundle,
    conmon,
    devices,
    ending,
    exec_process,
    exec_spawn,
    health_check,
    inside,
    own_files,
    probe,
    process,
    record,
    rootfs,
    user,
)
from runtime.driver import ContainerRequest, ExecRequest, ExitResult
from runtime.fills import Fills
from runtime.host import gather
from runtime.layout import ContainerPaths, Layout
from runtime.oci import OciError
from runtime.record import Record

log = logging.getLogger(__name__)

_MONITOR_GRACE = 5.0
_DEATH_GRACE = 10.0
# conmon itself cuts the log off, losing up to one file of lines, each time it has written so many
# times the limit for rotation: seldom enough to lose little, and an end to growth without a daemon.
_LOG_BACKSTOP = 64


class Lifecycle:
    """Makes, starts, settles and unmakes containers of one driver. Construction probes the host."""

    def __init__(self, layout: Layout, cgroup_parent: str, log_limit: int, clock: Clock) -> None:
        self.layout = layout
        self.hierarchies = cgroup.detect()
        self.host = gather(cgroup_parent, self.hierarchies)
        layout.make()
        self.conmon = probe.find_conmon()
        self.runtime = probe.find(layout, self.host, self.hierarchies)
        self._monitor_group = cgroup_parent.rstrip("/") + "-conmon"
        self._log_limit = log_limit
        self._clock = clock
        self._boot = record.boot_id()
        self._fills = Fills()

    # --- creating ---------------------------------------------------------------------------

    def make(self, request: ContainerRequest) -> Record:
        """Everything up to state "created"; on failure all is taken away again."""
        paths = self.layout.container(request.id)
        config = self._config(request, paths)
        made = Record(
            id=request.id,
            name=request.name,
            labels=dict(request.labels),
            stop_signal=bundle.stop_signal(request),
            cgroup=bundle.cgroup_of(self.host, request.id),
            boot=self._boot,
            health=health_check.resolve(request.spec.health, bundle.image_section(request)),
        )
        try:
            binds.check(request)
            paths.bundle.mkdir(mode=0o700)
        except FileExistsError:
            raise SwarmError(Code.EXISTS, f"container {request.id} exists") from None
        except OSError as error:
            raise _refused(request, error) from None
        try:
            return self._make(request, made, paths, config)
        except BaseException as error:
            self.destroy(made)
            if isinstance(error, conmon.ConmonError | OSError):
                raise _refused(request, error) from None
            raise

    def _make(
        self, request: ContainerRequest, made: Record, paths: ContainerPaths, config: bundle.Config
    ) -> Record:
        paths.persist.mkdir()
        rootfs.mount_layers(request.layers, paths, self.layout)
        beside.make(request, paths, self.layout)
        self._fills.fill(request.id, request.fills, paths)
        return self._launch(request, made, paths, config)

    def renew(self, ended: Record, request: ContainerRequest) -> Record:
        """The same of a container that has ended, on the file system that it left; on failure it
        has still ended, and that is all.
        """
        paths = self.layout.container(request.id)
        if ended.boot != self._boot or not paths.merged.is_mount():
            raise SwarmError(
                Code.REFUSED,
                f"container {request.name} cannot be started again",
                why="the host was restarted since, and what it wrote is gone",
                remedy="remove it, and make another",
            )
        config = self._config(request, paths)
        made = record.renewed(ended)
        try:
            binds.check(request)
            self._end_processes(ended, paths)
            for file in (*ending.files(paths), *paths.left_by_monitor):
                file.unlink(missing_ok=True)
            return self._launch(request, made, paths, config)
        except (conmon.ConmonError, OSError) as error:
            self._end_unrecorded(ended, paths)
            raise _refused(request, error) from None

    def _config(self, request: ContainerRequest, paths: ContainerPaths) -> bundle.Config:
        places = beside.places(request.spec, paths)
        return bundle.build(request, self.host, paths.merged, own_files.places(paths), places)

    def _launch(
        self, request: ContainerRequest, made: Record, paths: ContainerPaths, config: bundle.Config
    ) -> Record:
        own_files.write(request, paths)
        process.set_user(config["process"], self._user(request, paths))
        devices.allow(config, request.devices)
        if self.runtime.takes_bpf:
            bpf.apply(config)
        binds.settle(config["mounts"])
        paths.config.write_text(json.dumps(config))
        launch = conmon.Launch(
            id=request.id,
            name=request.name,
            tty=request.spec.tty,
            stdin=request.spec.open_stdin,
            log_limit=_LOG_BACKSTOP * self._log_limit,
        )
        command = conmon.arguments(self.conmon, launch, self.runtime, self.layout, paths)
        launched = conmon.launch(command, paths, cgroup.make(self.hierarchies, self._monitor_group))
        made = replace(made, process=launched.container, monitor=launched.monitor)
        record.save(paths.record, made)
        return made

    def _user(self, request: ContainerRequest, paths: ContainerPaths) -> user.User:
        return user.resolve(
            process.user_text(request.spec, bundle.image_section(request)),
            request.spec.groups,
            inside.read_text(paths.merged, "/etc/passwd"),
            inside.read_text(paths.merged, "/etc/group"),
        )

    # --- running ----------------------------------------------------------------------------

    def start(self, made: Record) -> Record:
        """Lets the process run; SwarmError if the runtime refuses."""
        now = self._clock()  # before: the process may have ended when the runtime returns
        try:
            self.runtime.start(made.id)
        except (OciError, OSError) as error:
            raise SwarmError(
                Code.REFUSED, f"container {made.name} cannot be started", why=str(error)
            ) from None
        started = replace(made, step="running", started_at=now)
        self._note(started)
        return started

    def _note(self, made: Record) -> None:
        """Records what has happened; where the disk does not let us, a successor finds it out."""
        try:
            record.save(self.layout.container(made.id).record, made)
        except OSError as error:
            log.warning("container %s: its state cannot be written: %s", made.name, error)

    def spawn(self, made: Record, request: ExecRequest) -> exec_spawn.Spawned:
        """Starts a command in a running container; SwarmError if that is not possible."""
        if made.step != "running":
            raise _no_command(made, "it is not running")
        paths = self.layout.container(made.id)
        try:
            process = exec_process.build(
                json.loads(paths.config.read_text())["process"],
                request,
                inside.read_text(paths.merged, "/etc/passwd"),
                inside.read_text(paths.merged, "/etc/group"),
            )
            command = exec_spawn.ExecPaths(self.layout.commands / new_id())
            return exec_spawn.spawn(self.runtime, command, made.id, process, request)
        except OSError as error:
            raise _no_command(made, str(error)) from None

    def settle(self, made: Record) -> Record:
        """After the monitor is gone: the record with the container's end, however that came."""
        result = ending.read(self.layout.container(made.id))
        ended = made.ended(self._abandoned(made) if result is None else result)
        self._note(ended)
        return ended

    def _abandoned(self, made: Record) -> ExitResult:
        """Kills a container that nobody monitors: its end would never be known."""
        rebooted = made.boot != self._boot
        if made.process is not None and not rebooted:
            log.warning("container %s lost its monitor and is killed", made.name)
            pidfd.kill(made.process, _DEATH_GRACE)
        return ending.lost(self._clock(), rebooted=rebooted)

    # --- recovering and removing ------------------------------------------------------------

    def recover(self, id: str) -> Record | None:
        """What is left of a container after the driver's own death; None: it was half-made."""
        paths = self.layout.container(id)
        found = record.load(paths.record)
        if found is None:
            self._destroy_half_made(id, None)
            return None
        if found.step == "exited":
            self._end_unrecorded(found, paths)
            return found
        if found.step == "created":
            return self._recover_created(found)
        return found if self._is_monitored(found) else self.settle(found)

    def _recover_created(self, found: Record) -> Record | None:
        """Cut off somewhere between the making and the note that the process was started."""
        present = found.boot == self._boot
        status = self.runtime.status(found.id) if present else ""
        if status == "running" and self._is_monitored(found):
            started = replace(found, step="running", started_at=self._clock())
            self._note(started)
            return started
        if status == "stopped" and found.monitor is not None:
            pidfd.wait(found.monitor, _MONITOR_GRACE)  # it is about to write the end
        has_ended = ending.read(self.layout.container(found.id)) is not None
        if found.renewed or has_ended or status in ("running", "stopped"):
            return self.settle(found)
        self._destroy_half_made(found.id, found)
        return None

    def _is_monitored(self, found: Record) -> bool:
        if found.monitor is None or found.boot != self._boot:
            return False
        return pidfd.is_alive(found.monitor)

    def _destroy_half_made(self, id: str, found: Record | None) -> None:
        log.warning("container %s was never started and is removed", found.name if found else id)
        group = bundle.cgroup_of(self.host, id)
        self.destroy(found or Record(id, id, {}, 0, group, self._boot))

    def destroy(self, made: Record) -> ExitResult | None:
        """Deletes every trace; how the container ended, if it ever ran. Can be repeated."""
        paths = self.layout.container(made.id)
        try:
            self._end_processes(made, paths)
            result = ending.read(paths)
            rootfs.unmount(paths)
            beside.unmount(paths.beside)
            for file in (paths.exit_file, paths.socket_link):
                file.unlink(missing_ok=True)
            for directory in (paths.runtime_state, paths.bundle):
                with contextlib.suppress(FileNotFoundError):
                    remove_tree(directory)
        except OSError as error:
            raise SwarmError(
                Code.UNAVAILABLE, f"container {made.name} cannot be removed", why=str(error)
            ) from None
        if not cgroup.remove(self.hierarchies, made.cgroup):
            log.warning("the control group %s is still in use", made.cgroup)
        return result

    def _end_processes(self, made: Record, paths: ContainerPaths) -> None:
        """Kills the container, has the runtime forget it, and waits for the monitor's end.

        The first process takes all others of its pid namespace along, so that a runtime that
        fails, or another than the one that made the container, is no reason to give up.
        """
        present = made.boot == self._boot
        if made.process is not None and present:
            pidfd.kill(made.process, _DEATH_GRACE)
        if paths.runtime_state.exists():
            try:
                self.runtime.delete(made.id)
            except OciError as error:
                log.warning("%s cannot delete %s: %s", self.runtime.kind, made.name, error)
        # It still writes to the bundle: only after its end can that be deleted for good.
        monitor = made.monitor if present else None
        monitor = monitor or conmon.find_monitor(paths, made.id)
        if monitor is not None and not pidfd.wait(monitor, _MONITOR_GRACE):
            pidfd.kill(monitor, _MONITOR_GRACE)

    def _end_unrecorded(self, ended: Record, paths: ContainerPaths) -> None:
        """Ends what a renewal launched that was cut off, or failed, before it was on record."""
        monitor = conmon.find_monitor(paths, ended.id)
        if monitor not in (None, ended.monitor):
            log.warning("container %s was not renewed: what was begun is ended", ended.name)
            self._end_processes(replace(ended, process=None, monitor=monitor), paths)

    def ids_on_disk(self) -> list[str]:
        """Every container that left a directory."""
        return sorted(entry.name for entry in os.scandir(self.layout.containers))

    def sweep(self, known: set[str]) -> None:
        """Takes away what belongs to no container: stray exit files, links, mounts, and commands
        of a former daemon.
        """
        for directory in (self.layout.exits, self.layout.sockets):
            for entry in os.scandir(directory):
                if entry.name not in known:
                    os.unlink(entry.path)
        exec_spawn.sweep(self.layout.commands)
        beside.sweep(self.layout.beside, known)
        merged = {self.layout.container(id).merged for id in known}
        for point in mount.mount_points(self.layout.containers):
            if point not in merged:
                mount.unmount(point)

    def leave(self) -> None:
        """Removes the control groups if nothing is in them any more."""
        cgroup.remove_empty(self.hierarchies, self._monitor_group)
        cgroup.remove_empty(self.hierarchies, self.host.cgroup_parent)


def _no_command(made: Record, why: str) -> SwarmError:
    return SwarmError(Code.REFUSED, f"no command can be run in container {made.name}", why=why)


def _refused(request: ContainerRequest, error: Exception) -> SwarmError:
    return SwarmError(Code.REFUSED, f"container {request.name} cannot be created", why=str(error))
