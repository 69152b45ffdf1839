"""The flags of `service create` and `service update` are Docker's (docker/cli 29.8, generated
reference): same spelling, same short forms, none missing, and few of our own.
"""

import click

from swarmctl.cli.commands.service_changes import create, update

IDENTITY = "--name --label -l --container-label"
MODE = "--mode --replicas --max-concurrent"
IMAGE = "--no-resolve-image --with-registry-auth"
PROCESS = (
    "--entrypoint --user -u --group --workdir -w --env -e --env-file --tty -t --init --hostname"
    " --stop-signal --stop-grace-period --read-only --isolation"
)
SECURITY = "--cap-add --cap-drop --credential-spec --sysctl --ulimit"
RESOURCES = (
    "--limit-cpu --limit-memory --limit-pids --reserve-cpu --reserve-memory --generic-resource"
    " --memory-swap --memory-swappiness --oom-score-adj"
)
STORAGE = "--mount --secret --config"
PLACEMENT = "--constraint --placement-pref --replicas-max-per-node"
HEALTH = (
    "--health-cmd --health-interval --health-retries --health-start-interval"
    " --health-start-period --health-timeout --no-healthcheck"
)
RESTART = "--restart-condition --restart-delay --restart-max-attempts --restart-window"
UPDATE = (
    "--update-parallelism --update-delay --update-monitor --update-failure-action"
    " --update-max-failure-ratio --update-order"
)
ROLLBACK = UPDATE.replace("--update", "--rollback")
NETWORK = "--network --publish -p --endpoint-mode --dns --dns-option --dns-search --host"
LOGGING = "--log-driver --log-opt --detach -d --quiet -q"
CREATE = " ".join(
    (
        *(IDENTITY, MODE, IMAGE, PROCESS, SECURITY, RESOURCES, STORAGE, PLACEMENT),
        *(HEALTH, RESTART, UPDATE, ROLLBACK, NETWORK, LOGGING),
    )
).split()

LISTS = (
    *("config", "constraint", "container-label", "dns", "dns-option", "dns-search", "env"),
    *("generic-resource", "group", "host", "label", "mount", "network", "placement-pref"),
    *("publish", "secret", "sysctl", "ulimit"),
)
SPLIT = {f"--{name}-{suffix}" for name in LISTS for suffix in ("add", "rm")}
NOT_IN_UPDATE = {"--name", "--mode", "--env-file"}
ONLY_IN_UPDATE = {"--args", "--image", "--force", "--rollback"}
OURS = {"--sticky", "--wait-timeout"}


def flags(command: click.Command) -> set[str]:
    options = [each for each in command.params if isinstance(each, click.Option)]
    return {flag for option in options for flag in option.opts}


def test_the_literal_lists_have_dockers_numbers_of_flags() -> None:
    assert len([flag for flag in CREATE if flag.startswith("--")]) == 75
    joined = {f"--{name}" for name in LISTS}
    kept = {flag for flag in CREATE if flag.startswith("--")} - joined - NOT_IN_UPDATE
    assert len(kept | SPLIT | ONLY_IN_UPDATE) == 94


def test_create_has_dockers_flags() -> None:
    assert flags(create) == {*CREATE, *OURS}


def test_update_has_dockers_flags() -> None:
    joined = {f"--{name}" for name in LISTS} | {"-l", "-e", "-p"}
    assert flags(update) == {*CREATE, *SPLIT, *ONLY_IN_UPDATE, *OURS} - joined - NOT_IN_UPDATE
