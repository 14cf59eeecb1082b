"""The licence of everything that runs: what the package itself says, against what may be here."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest

LOCKED = Path(__file__).parents[1] / "requirements" / "run.txt"
ALLOWED = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Python-2.0"}
)
CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}
WORDS = {"Apache License 2.0": "Apache-2.0", "BSD 2-Clause": "BSD-2-Clause", "Apache 2": "Apache-2.0"}
# Read by hand, where the metadata says nothing or more than what is installed.
READ = {
    "protobuf": "BSD-3-Clause",  # its LICENSE file
    "docutils": "BSD-2-Clause",  # public domain but for parts under BSD; the one GPL file, for Emacs, is in no wheel
}


def packages() -> list[str]:
    return re.findall(r"^([A-Za-z0-9_.-]+)==", LOCKED.read_text(), re.MULTILINE)


def expression(name: str) -> str:
    """The SPDX expression of an installed package; "" where it tells none."""
    if name in READ:
        return READ[name]
    about = metadata(name)
    if found := about.get_all("License-Expression"):
        return str(found[0])
    told = [CLASSIFIERS.get(one, one) for one in about.get_all("Classifier") or () if one.startswith("License ::")]
    if told and told != ["License :: OSI Approved"]:
        return " OR ".join(told)
    text = next(iter(about.get_all("License") or ()), "")
    return WORDS.get(str(text), str(text))


def allowed(spdx: str) -> bool:
    """Whether an expression can be kept to: each of what is joined by AND, one of what is joined by OR."""
    parts = re.sub("[()]", "", spdx).split(" AND ")
    return bool(spdx) and all(any(one.strip() in ALLOWED for one in part.split(" OR ")) for part in parts)


def test_the_lock_file_names_packages() -> None:
    assert len(packages()) > 50


@pytest.mark.parametrize("name", packages())
def test_a_licence_is_one_that_may_be_here(name: str) -> None:
    assert allowed(expression(name)), f"{name}: {expression(name)!r}"


@pytest.mark.parametrize("spdx", ["", "GPL-3.0-only", "MIT AND GPL-2.0-only", "AGPL-3.0-or-later", "Proprietary"])
def test_others_are_not(spdx: str) -> None:
    assert not allowed(spdx)
