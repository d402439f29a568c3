"""Makes an image from a static binary, without a container engine, and the same bytes each time.

    image.py BINARY ARCHITECTURE VERSION OUT

The archive is an OCI image layout in which `docker load` finds its own manifest, too. What the image says of itself (user,
ports, command, health check, labels) is what the last stage of `deploy/Containerfile` says; the certificates of the public
CAs are this machine's.
"""

import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tarfile

CONTAINERFILE = pathlib.Path("deploy/Containerfile")
CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LARGEST = 15 * 1024 * 1024
MADE = int(os.environ["SOURCE_DATE_EPOCH"])


def entry(name: str, mode: int, content: bytes | None = None) -> tuple[tarfile.TarInfo, io.BytesIO | None]:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = mode, MADE
    if content is None:
        info.type = tarfile.DIRTYPE
        return info, None
    info.size = len(content)
    return info, io.BytesIO(content)


def archive(entries: list[tuple[tarfile.TarInfo, io.BytesIO | None]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, content)
    return buffer.getvalue()


def nanoseconds(duration: str) -> int:
    units = {"s": 1, "m": 60}
    return int(duration[:-1]) * units[duration[-1]] * 1_000_000_000


def configuration(text: str, arguments: dict[str, str]) -> dict:
    """What the last stage of a Containerfile says; every instruction that is not understood is an error."""
    stage = re.split(r"^FROM .*$", text.replace("\\\n", " "), flags=re.MULTILINE)[-1]
    config: dict = {"Env": ["PATH=/usr/local/bin"], "Labels": {}, "ExposedPorts": {}}
    for line in stage.splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = re.sub(r"\$\{(\w+)\}", lambda name: arguments[name[1]], rest.strip())
        if not word or word.startswith("#") or word in ("ARG", "COPY"):
            continue
        if word in ("USER", "STOPSIGNAL"):
            config[{"USER": "User", "STOPSIGNAL": "StopSignal"}[word]] = rest
        elif word == "EXPOSE":
            config["ExposedPorts"] = {f"{port}/tcp": {} for port in rest.split()}
        elif word in ("ENTRYPOINT", "CMD"):
            config[{"ENTRYPOINT": "Entrypoint", "CMD": "Cmd"}[word]] = json.loads(rest)
        elif word == "LABEL":
            config["Labels"].update(part.split("=", 1) for part in shlex.split(rest))
        elif word == "HEALTHCHECK":
            options, _, command = rest.partition(" CMD ")
            given = dict(option.removeprefix("--").split("=") for option in options.split())
            health = {"Test": ["CMD", *json.loads(command)]}
            for name, key in {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod"}.items():
                if name in given:
                    health[key] = nanoseconds(given.pop(name))
            if given:
                sys.exit(f"error: {CONTAINERFILE}: HEALTHCHECK with {given}")
            config["Healthcheck"] = health
        else:
            sys.exit(f"error: {CONTAINERFILE}: what should {word} become?")
    return config


def commit() -> str:
    said = os.environ.get("AUTH_TICKET_COMMIT")
    asked = ["git", "rev-parse", "--short=9", "HEAD"]
    return said or subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False).stdout.strip() or "unknown"


def main(binary: str, machine: str, version: str, out: str) -> None:
    architecture = ARCHITECTURES[machine]
    layer = archive(
        [
            entry("etc", 0o755),
            entry("etc/ssl", 0o755),
            entry("etc/ssl/certs", 0o755),
            entry("etc/ssl/certs/ca-certificates.crt", 0o644, CERTIFICATES.read_bytes()),
            entry("tmp", 0o1777),
            entry("usr", 0o755),
            entry("usr/local", 0o755),
            entry("usr/local/bin", 0o755),
            entry("usr/local/bin/auth-ticket", 0o755, pathlib.Path(binary).read_bytes()),
        ]
    )
    # The same files for engines: `deploy/Containerfile` copies them.
    root = pathlib.Path(out) / f"root-{architecture}"
    shutil.rmtree(root, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        tar.extraction_filter = lambda member, _: member  # modes as they are; older versions of Python know no other way
        tar.extractall(root)
    blobs: dict[str, bytes] = {}

    def stored(media_type: str, content: bytes) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def document(content: object) -> bytes:
        return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()

    made = datetime.datetime.fromtimestamp(MADE, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    oci = "application/vnd.oci.image"
    packed = stored(f"{oci}.layer.v1.tar+gzip", gzip.compress(layer, compresslevel=9, mtime=0))
    config = stored(
        f"{oci}.config.v1+json",
        document(
            {
                "created": made,
                "architecture": architecture,
                "os": "linux",
                "config": configuration(CONTAINERFILE.read_text(encoding="utf-8"), {"VERSION": version, "COMMIT": commit()}),
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
                "history": [{"created": made, "created_by": "deploy/dist/image.py"}],
            }
        ),
    )
    manifest = stored(
        f"{oci}.manifest.v1+json",
        document({"schemaVersion": 2, "mediaType": f"{oci}.manifest.v1+json", "config": config, "layers": [packed]}),
    )
    name = f"auth-ticket:{version}"
    manifest |= {
        "platform": {"os": "linux", "architecture": architecture},
        "annotations": {"org.opencontainers.image.ref.name": version, "io.containerd.image.name": f"docker.io/library/{name}"},
    }

    def path(descriptor: dict) -> str:
        return f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"

    entries = [entry("blobs", 0o755), entry("blobs/sha256", 0o755)]
    entries += [entry(f"blobs/sha256/{digest}", 0o644, content) for digest, content in sorted(blobs.items())]
    index = {"schemaVersion": 2, "mediaType": f"{oci}.index.v1+json", "manifests": [manifest]}
    entries.append(entry("index.json", 0o644, document(index)))
    legacy = [{"Config": path(config), "RepoTags": [name], "Layers": [path(packed)]}]
    entries.append(entry("manifest.json", 0o644, document(legacy)))
    entries.append(entry("oci-layout", 0o644, document({"imageLayoutVersion": "1.0.0"})))
    image = archive(entries)
    if len(image) > LARGEST:
        sys.exit(f"error: the image for {architecture} has {len(image)} bytes, more than {LARGEST}")
    file = pathlib.Path(out) / f"auth-ticket-{version}-{architecture}.oci.tar"
    file.write_bytes(image)
    print(f"{len(image):10}  {file.name}")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
