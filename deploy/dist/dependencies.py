"""What is linked into the binary: its licences as one text, or a software bill of materials (CycloneDX 1.6).

    dependencies.py licences TARGET...
    dependencies.py sbom TARGET... <SHA256SUMS

Both come from Cargo alone and are the same on every machine. Crates that only run while building are
left out. The bill names the files of SHA256SUMS that it is about.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

# What is linked without being a crate.
ALSO = "The static binaries contain musl (MIT), https://musl.libc.org, Copyright (c) 2005-2020 Rich Felker, et al."


Package = tuple[str, str]  # name and version


def cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments, "--locked"], check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(target: str) -> dict[Package, set[Package]]:
    """All packages that the program links, with those that each depends on; the first is the program's own.

    From `cargo tree`, since the features in `cargo metadata` are also those that tests ask for.
    """
    # A line is its depth, the name, the version and perhaps "(*)": what is below was shown before.
    shown = cargo("tree", "--edges", "normal,no-proc-macro", "--target", target, "--prefix", "depth", "--format", " {p}")
    found: dict[Package, set[Package]] = {}
    path: list[Package] = []
    for line in shown.splitlines():
        depth, name, version = line.split()[:3]
        package = (name, version.removeprefix("v"))
        found.setdefault(package, set())
        path[int(depth) :] = [package]
        if len(path) > 1:
            found[path[-2]].add(package)
    return found


def collect(targets: list[str]) -> tuple[dict[Package, dict], dict[Package, set[Package]], Package]:
    """The packages of all targets together, what each depends on, and the program's own."""
    known = {(entry["name"], entry["version"]): entry for entry in json.loads(cargo("metadata", "--format-version", "1"))["packages"]}
    depends: dict[Package, set[Package]] = {}
    for target in targets:
        for package, below in linked(target).items():
            depends.setdefault(package, set()).update(below)
    return {package: known[package] for package in depends}, depends, next(iter(depends))


def expression(package: dict) -> str:
    """An SPDX expression; old crates write a slash for OR."""
    return " OR ".join(part.strip() for part in (package["license"] or "").split("/"))


def licences(targets: list[str]) -> str:
    packages, _, root = collect(targets)
    texts: dict[str, list[str]] = {}
    for id_, package in packages.items():
        if id_ == root:
            continue
        name = f"{package['name']} {package['version']} ({expression(package)})"
        directory = pathlib.Path(package["manifest_path"]).parent
        names = re.compile(r"(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)
        files = [file for file in sorted(directory.iterdir()) if names.match(file.name) and file.is_file()]
        if not files:
            texts.setdefault("(The package has no text of its licence.)", []).append(name)
        for file in files:
            texts.setdefault(file.read_text(encoding="utf-8", errors="replace").strip(), []).append(name)
    parts = ["What auth-ticket is linked with, and the licences of it. Its own are in LICENSE-MIT and LICENSE-APACHE.", ALSO]
    for text, names in sorted(texts.items(), key=lambda entry: sorted(entry[1])):
        parts.append("\n".join(["-" * 100, *sorted(set(names)), "", text]))
    return "\n\n".join(parts) + "\n"


def sbom(targets: list[str], sums: list[str]) -> str:
    packages, depends, root = collect(targets)
    checksums = {
        (entry["name"], entry["version"]): entry["checksum"]
        for entry in tomllib.loads(pathlib.Path("Cargo.lock").read_text(encoding="utf-8"))["package"]
        if "checksum" in entry
    }

    def purl(package: dict) -> str:
        return f"pkg:cargo/{package['name']}@{package['version']}"

    def component(id_: Package) -> dict:
        package = packages[id_]
        entry = {
            "type": "application" if id_ == root else "library",
            "bom-ref": purl(package),
            "name": package["name"],
            "version": package["version"],
            "description": " ".join((package["description"] or "").split()),
            "licenses": [{"expression": expression(package)}],
            "purl": purl(package),
        }
        if id_ in checksums:
            entry["hashes"] = [{"alg": "SHA-256", "content": checksums[id_]}]
        if package["repository"]:
            entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
        return entry

    own = component(root)
    files = []
    for line in sums:
        digest, name = line.split()
        files.append({"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]})
    if files:
        own["components"] = files
    made = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": own,
            "properties": [{"name": "cdx:rustc:sbom:target:triple", "value": target} for target in sorted(targets)],
        },
        "components": [component(id_) for id_ in sorted(packages) if id_ != root],
        "dependencies": [
            {"ref": purl(packages[id_]), "dependsOn": sorted(purl(packages[dep]) for dep in below)}
            for id_, below in sorted(depends.items())
        ],
    }
    document["components"].sort(key=lambda entry: entry["bom-ref"])
    document["dependencies"].sort(key=lambda entry: entry["ref"])
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    what, targets = sys.argv[1], sys.argv[2:]
    if not targets or what not in ("licences", "sbom"):
        sys.exit(__doc__)
    sys.stdout.write(licences(targets) if what == "licences" else sbom(targets, sys.stdin.read().splitlines()))
