"""Where Terraform's AWS provider comes from: a mirror on this machine, or else where Terraform itself would look."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from world.clients.absent import absent

CHECKOUT = Path(__file__).resolve().parents[3]
PROVIDER = "registry.terraform.io/hashicorp/aws"
HELPER = "terraform-mirror"  # a command beside the checkout that prints a CLI configuration
ROOTS = ("/usr/share", "/usr/local", "/opt", "/srv", "/var/lib", "~/.terraform.d", "~/.local/share", "~")
NEEDED = 'terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws", version = "~> 5.100" }\n  }\n}\n'
DOWNLOAD_SECONDS = 240
DEPTH = 3  # directories below a root in which a mirror is looked for


def environment(client: str, scratch: Path) -> dict[str, str]:
    """What a Terraform's environment must hold to find the provider; skips the test of `client` where none does."""
    if shutil.which("terraform") is None:
        absent(client, "there is no terraform on this machine")
    found = {"CHECKPOINT_DISABLE": "1"}
    if configuration := cli_configuration():
        settings = scratch / "terraform.rc"
        settings.write_text(configuration)
        return found | {"TF_CLI_CONFIG_FILE": str(settings)}
    cache = Path(sys.prefix) / "apart/terraform"
    cache.mkdir(parents=True, exist_ok=True)
    found["TF_PLUGIN_CACHE_DIR"] = str(cache)
    if trouble := _trouble(scratch / "provider", found):
        why = f"its AWS provider is in no local mirror, and cannot be downloaded: {trouble}"
        absent(client, f"{why}. Name a mirror in TF_CLI_CONFIG_FILE")
    return found


def _trouble(place: Path, more: dict[str, str]) -> str:
    """Why Terraform cannot install the provider by itself; "" where it has."""
    place.mkdir()
    (place / "main.tf").write_text(NEEDED)
    command = ["terraform", "init", "-no-color", "-input=false"]
    try:
        done = subprocess.run(
            command,
            cwd=place,
            env=os.environ | more,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not within {DOWNLOAD_SECONDS} s"
    said = " ".join(done.stderr.split()) or "no reason was given"
    return said.rpartition("Error: ")[2][:300] if done.returncode else ""


def cli_configuration() -> str:
    """A CLI configuration that names a local mirror of the provider; "" where the machine has none."""
    return _configured() or _found() or _helped()


def _configured() -> str:
    file = Path(os.environ.get("TF_CLI_CONFIG_FILE") or "~/.terraformrc").expanduser()
    text = file.read_text() if file.is_file() else ""
    return text if "provider_installation" in text else ""


def _helped() -> str:
    for helper in CHECKOUT.parent.glob(f"*/{HELPER}"):
        done = subprocess.run([str(helper)], capture_output=True, text=True, timeout=60, check=False)
        if "provider_installation" in done.stdout:
            return done.stdout
    return ""


def _found() -> str:
    for root in ROOTS:
        for place in _places(Path(root).expanduser(), DEPTH):
            if (place / PROVIDER).is_dir():
                return f'provider_installation {{\n  filesystem_mirror {{ path = "{place}" }}\n}}\n'
    return ""


def _places(directory: Path, depth: int) -> Iterator[Path]:
    yield directory
    if depth == 0:
        return
    try:
        below = [Path(entry.path) for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for each in sorted(below):
        yield from _places(each, depth - 1)
