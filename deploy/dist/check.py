"""Checks the workflow files: they parse, every step that runs something runs `make`, and every target is there.

    check.py MAKEFILE...        from the root of the repository; takes PyYAML
"""

import pathlib
import re
import sys

import yaml

GITHUB = pathlib.Path(".github/workflows/ci.yml")
GITLAB = pathlib.Path(".gitlab-ci.yml")
# Words at the top of GitLab's file that are no jobs.
NO_JOBS = {"default", "stages", "variables", "workflow", "include"}


def load(path: pathlib.Path) -> dict:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        sys.exit(f"error: {path} is no mapping")
    return document


def lines_of_github() -> dict[str, list[str]]:
    jobs = {}
    for name, job in load(GITHUB)["jobs"].items():
        if "runs-on" not in job or not job["steps"]:
            sys.exit(f"error: {GITHUB}: job {name} lacks runs-on or steps")
        for step in job["steps"]:
            if not {"run", "uses"} & step.keys():
                sys.exit(f"error: {GITHUB}: a step of {name} neither runs nor uses anything")
            if not re.fullmatch(r"[\w/-]+@v\d+", step.get("uses", "actions/checkout@v4")):
                sys.exit(f"error: {GITHUB}: {step['uses']} names no version")
        jobs[name] = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
    return jobs


def lines_of_gitlab() -> dict[str, list[str]]:
    document = load(GITLAB)
    jobs = {name: job for name, job in document.items() if name not in NO_JOBS}
    for name, job in jobs.items():
        if job["stage"] not in document["stages"]:
            sys.exit(f"error: {GITLAB}: job {name} is in no stage")
    return {name: job["script"] for name, job in jobs.items()}


def main(makefiles: list[str]) -> None:
    rules = "\n".join(pathlib.Path(file).read_text(encoding="utf-8") for file in makefiles)
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", rules, flags=re.MULTILINE))
    github, gitlab = lines_of_github(), lines_of_gitlab()
    for path, jobs in {GITHUB: github, GITLAB: gitlab}.items():
        for name, lines in jobs.items():
            if not lines:
                sys.exit(f"error: {path}: job {name} runs nothing")
            for line in lines:
                words = line.split()
                if words[0] != "make" or len(words) < 2:
                    sys.exit(f"error: {path}: job {name} runs something else than make: {line}")
                missing = [word for word in words[1:] if "=" not in word and word not in targets]
                if missing:
                    sys.exit(f"error: {path}: job {name}: there is no target {missing[0]}")
    if github != gitlab:
        sys.exit(f"error: {GITHUB} and {GITLAB} do not run the same: {github} and {gitlab}")


if __name__ == "__main__":
    main(sys.argv[1:])
